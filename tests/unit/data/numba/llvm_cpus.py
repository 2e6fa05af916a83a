"""llvm_cpus.py CPU...: what the LLVM of this Numba assembles for each of these aarch64 CPUs, a line
for each, "CPU FEATURE...". Exits with 77 where this LLVM has no assembler for aarch64.
"""

import ctypes
import os
import sys

import llvmlite
from llvmlite import binding

TRIPLE = "aarch64-unknown-linux-gnu"
INSTRUCTIONS = {
    "neon": "add v0.4s, v0.4s, v0.4s",
    "crc": "crc32b w0, w0, w0",
    "aes": "aese v0.16b, v0.16b",
    "sha2": "sha256h q0, q0, v0.4s",
    "lse": "ldadd w0, w0, [x0]",
    "rdm": "sqrdmlah v0.4s, v0.4s, v0.4s",
    "fullfp16": "fadd h0, h0, h0",
    "sha3": "eor3 v0.16b, v0.16b, v0.16b, v0.16b",
    "sm4": "sm4e v0.4s, v0.4s",
    "dotprod": "udot v0.4s, v0.16b, v0.16b",
    "fp16fml": "fmlal v0.4s, v0.4h, v0.4h",
    "jsconv": "fjcvtzs w0, d0",
    "complxnum": "fcadd v0.4s, v0.4s, v0.4s, #90",
    "rcpc": "ldaprb w0, [x0]",
    "rcpc-immo": "ldapurb w0, [x0]",
    "fptoint": "frint32z d0, d0",
    "bf16": "bfdot v0.4s, v0.8h, v0.8h",
    "i8mm": "usdot v0.4s, v0.16b, v0.16b",
    "sve": "ldff1b {z0.b}, p0/z, [x0, x0]",
    "sve2": "histseg z0.b, z0.b, z0.b",
    "sve2-aes": "aese z0.b, z0.b, z0.b",
    "sve2-bitperm": "bext z0.b, z0.b, z0.b",
    "sve2-sha3": "rax1 z0.d, z0.d, z0.d",
    "sve2-sm4": "sm4e z0.s, z0.s, z0.s",
    "f32mm": "fmmla z0.s, z0.s, z0.s",
    "f64mm": "fmmla z0.d, z0.d, z0.d",
}

def said_by(function):
    """What LLVM writes while it runs, which may end the process."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(writing, 2)
        os.close(reading)
        try:
            function()
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, "rb") as f:
        text = f.read().decode(errors="replace")
    os.waitpid(child, 0)
    return text

def assembles(target, cpu, line):
    module = 'target triple = "%s"\nmodule asm "%s"\n' % (TRIPLE, line)

    def assemble():
        machine = target.create_target_machine(cpu=cpu)
        machine.emit_object(binding.parse_assembly(module))

    return "error" not in said_by(assemble)


def main(cpus):
    binding.initialize_all_targets()
    binding.initialize_all_asmprinters()
    directory = os.path.dirname(llvmlite.__file__)
    library = ctypes.CDLL(os.path.join(directory, "binding", "libllvmlite.so"))
    try:
        library.LLVMInitializeAArch64AsmParser()
    except AttributeError:
        sys.exit(77)
    target = binding.Target.from_triple(TRIPLE)
    for cpu in cpus:
        print(cpu, *(name for name, line in INSTRUCTIONS.items() if assembles(target, cpu, line)))


main(sys.argv[1:])
