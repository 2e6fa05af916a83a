"""What env prints makes Numba load, on every machine that it was asked for."""

import json
import os
import subprocess

import pytest
from harness import PYTHON, environment, shell, warmpack
from small import run_small, write_small

# What Numba wrote into indexes on two machines, as users have posted it: each list is whole.
BROADWELL = (
    "+64bit,+adx,+aes,+avx,+avx2,-avx512bf16,-avx512bitalg,-avx512bw,-avx512cd,-avx512dq,"
    "-avx512er,-avx512f,-avx512ifma,-avx512pf,-avx512vbmi,-avx512vbmi2,-avx512vl,-avx512vnni,"
    "-avx512vpopcntdq,+bmi,+bmi2,-cldemote,-clflushopt,-clwb,-clzero,+cmov,+cx16,+cx8,-enqcmd,"
    "+f16c,+fma,-fma4,+fsgsbase,+fxsr,-gfni,+invpcid,-lwp,+lzcnt,+mmx,+movbe,-movdir64b,-movdiri,"
    "-mwaitx,+pclmul,-pconfig,-pku,+popcnt,-prefetchwt1,+prfchw,-ptwrite,-rdpid,+rdrnd,+rdseed,"
    "+rtm,+sahf,-sgx,-sha,-shstk,+sse,+sse2,+sse3,+sse4.1,+sse4.2,-sse4a,+ssse3,-tbm,-vaes,"
    "-vpclmulqdq,-waitpkg,-wbnoinvd,-xop,+xsave,-xsavec,+xsaveopt,-xsaves"
)
HASWELL = BROADWELL.replace("+adx", "-adx").replace("+prfchw", "-prfchw").replace(
    "+rdseed", "-rdseed"
).replace("+rtm", "-rtm")


def warmed(root, home, **variables):
    write_small(root)
    assert run_small(root, home, **variables) == (0, 3)
    return root


def settings(document):
    said = json.loads(document)
    assert list(said) == ["NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES"]
    return said


@pytest.fixture
def machines(here, me):
    """Trees warmed on a broadwell and on a haswell."""
    return [
        warmed(here / name, me.home, NUMBA_CPU_NAME=name, NUMBA_CPU_FEATURES=features)
        for name, features in (("broadwell", BROADWELL), ("haswell", HASWELL))
    ]


def test_settings_make_the_caches_load(machines, me):
    for root in machines:
        said = settings(warmpack("env", "--format", "json", root, home=me.home).out)
        assert run_small(root, me.home, **said) == (3, 0)


def test_shell_text_can_be_evaluated(machines, me):
    shell(
        'eval "$("$WARMPACK" env %s)"; cd /; NUMBA_DEBUG_CACHE=1 PYTHONPATH=%s %s -B -c "import pkg.k"'
        ' | grep -c "data loaded" | grep -qx 3' % (machines[0], machines[0], PYTHON),
        me.home,
    )


def test_one_string_that_broadwell_and_haswell_can_both_use(machines, here, me):
    said = settings(warmpack("env", "--common", "--json", *machines, home=me.home).out)
    assert said["NUMBA_CPU_NAME"] == "generic"
    # A haswell has nothing that a broadwell lacks.
    assert said["NUMBA_CPU_FEATURES"] == HASWELL
    shared = warmed(here / "shared", me.home, **said)
    assert run_small(shared, me.home, **said) == (3, 0)
    warmpack("verify", shared, home=me.home, **said)
    # The other side: the caches arrive by archive, and both can run them.
    warmpack("create", "-f", here / "a.tgz", "-C", here, "shared", home=me.home)
    warmpack("extract", "-f", here / "a.tgz", "-C", here / "new", home=me.home)
    assert run_small(here / "new" / "shared", me.home, **said) == (3, 0)


def test_common_takes_indexes_archives_and_probes(machines, here, me):
    probe = here / "haswell.json"
    probe.write_text(
        json.dumps(
            {
                "format": "warmpack-probe",
                "version": 1,
                "machine": ",".join(f for f in HASWELL.split(",") if f[0] == "+"),
            }
        )
    )
    archive = here / "b.tgz"
    warmpack("create", "-f", archive, "-C", here, "broadwell", home=me.home)
    index = next(machines[0].rglob("*.nbi"))
    for source in (index, archive):
        said = settings(warmpack("env", "--common", "--json", source, probe, home=me.home).out)
        assert said["NUMBA_CPU_FEATURES"] == HASWELL
    said = settings(warmpack("env", "--common", "--json", "-f", archive, probe, home=me.home).out)
    assert said["NUMBA_CPU_FEATURES"] == HASWELL


def test_common_takes_probes_and_archives_from_pipes(machines, here, me):
    warmpack("create", "-f", here / "b.tgz", "-C", here, "broadwell", home=me.home)
    (here / "p.json").write_text(
        '{"format": "warmpack-probe", "version": 1, "machine": "%s"}%s\n'
        % (",".join(f for f in HASWELL.split(",") if f[0] == "+"), " " * 100000)
    )
    script = '"$WARMPACK" env --common --json <(cat %s/b.tgz) <(cat %s/p.json)' % (here, here)
    assert settings(shell(script, me.home).out)["NUMBA_CPU_FEATURES"] == HASWELL
    endless = shell("\"$WARMPACK\" env --common <(echo '{'; yes ' ')", me.home, expect=2)
    assert "File too large" in endless.err and endless.err.count("\n") == 1
    shell('"$WARMPACK" env --common <(true)', me.home, expect=2)
    os.mkfifo(here / "fifo")
    script = 'cat %s/b.tgz >%s/fifo & "$WARMPACK" env --json %s/fifo; wait $!' % ((here,) * 3)
    assert settings(shell(script, me.home).out)["NUMBA_CPU_NAME"] == "broadwell"


def test_names_without_a_list_are_known_by_what_they_imply(here, me):
    for name in ("x86-64-v2", "x86-64-v3"):
        warmed(here / name, me.home, NUMBA_CPU_NAME=name, NUMBA_CPU_FEATURES="")
    done = warmpack("env", "--common", "--json", here / "x86-64-v2", here / "x86-64-v3", home=me.home)
    features = set(settings(done.out)["NUMBA_CPU_FEATURES"].split(","))
    assert {"+sse4.2", "+popcnt", "-avx", "-avx2", "-fma", "-bmi2"} <= features


def test_caches_for_two_CPUs_have_no_one_setting(machines, me):
    done = warmpack("env", *machines, home=me.home, expect=2)
    assert "haswell" in done.err and "broadwell" in done.err and done.out == ""


def crafted(path, triple, cpu, features):
    import pickle

    key = ("(int64,)", (triple, cpu, features), ("a" * 64, "b" * 64))
    path.write_bytes(pickle.dumps("0.56.4") + pickle.dumps(((1.5, 1), {key: "m.f-1.py311.1.nbc"})))
    return path


def test_different_triples_are_refused(here, me):
    arm = crafted(here / "m.f-1.py311.nbi", "aarch64-linux-gnu", "generic", "+neon")
    x86 = crafted(here / "m.g-1.py311.nbi", "x86_64-pc-linux-gnu", "generic", "+avx")
    done = warmpack("env", "--common", x86, arm, home=me.home, expect=2)
    assert "aarch64-linux-gnu" in done.err and "x86_64-pc-linux-gnu" in done.err


@pytest.mark.parametrize("words", [["--common"], ["--format=sh"], ["--format=spark"]])
def test_a_key_cannot_smuggle_commands_into_a_shell(here, me, words):
    bad = crafted(here / "m.f-1.py311.nbi", "x86_64-pc-linux-gnu", "x'; touch /tmp/x; '", "+avx")
    worse = crafted(here / "m.g-1.py311.nbi", "x86_64-pc-linux-gnu", "generic", "+avx\nCMD rm")
    for index in (bad, worse):
        assert warmpack("env", *words, index, home=me.home, expect=2).out == ""


def test_probe_of_this_machine_says_what_numba_says(me):
    probe = json.loads(warmpack("env", "--probe", "--python", PYTHON, home=me.home).out)
    numba = subprocess.check_output(
        [
            PYTHON,
            "-c",
            "import llvmlite.binding as l; print(l.get_host_cpu_name());"
            "print(l.get_host_cpu_features().flatten())",
        ],
        text=True,
        env=environment(me.home),
    ).split()
    assert [probe["cpu"], probe["features"]] == numba
    # What we find in the CPU is what LLVM finds, of all that it knows.
    machine = set(probe["machine"].split(","))
    for feature in numba[1].split(","):
        assert ("+" + feature[1:] in machine) == (feature[0] == "+"), feature
    alone = json.loads(warmpack("env", "--probe", home=me.home).out)
    assert alone["machine"] == probe["machine"] and alone["numba"] is None


def test_check_says_for_each_probe_whether_caches_load_and_run(machines, here, me):
    def probe(name, **changes):
        said = json.loads(warmpack("env", "--probe", "--python", PYTHON, home=me.home).out)
        said.update(changes)
        (here / name).write_text(json.dumps(said))
        return here / name

    having = [f for f in HASWELL.split(",") if f[0] == "+"] + ["+crc32", "+x87"]
    same = probe("same.json", cpu="haswell", features=HASWELL, machine=",".join(having))
    other = probe("other.json", cpu="znver1", features=HASWELL, machine=",".join(having))
    weak = probe("weak.json", cpu="haswell", features=HASWELL, machine="+sse4.2,+64bit")
    done = warmpack("env", "--check", same, machines[1], home=me.home)
    assert done.out == "%s: 3 of 3 cache indexes would load, 3 could run\n" % same

    done = warmpack("env", "--check", "--json", same, other, weak, machines[1], home=me.home, expect=1)
    by_name = {c["probe"].rpartition("/")[2]: c for c in json.loads(done.out)["checks"]}
    assert [by_name["same.json"][k] for k in ("total", "load", "run")] == [3, 3, 3]
    assert [by_name["other.json"][k] for k in ("total", "load", "run")] == [3, 0, 3]
    assert "has znver1" in by_name["other.json"]["reasons"]["wrong-cpu"]
    assert by_name["weak.json"]["run"] == 0
    assert "that machine lacks" in by_name["weak.json"]["reasons"]["unsafe-cpu"]


def test_check_counts_what_cannot_be_read_as_neither_loading_nor_running(machines, here, me):
    probe = here / "p.json"
    probe.write_text(warmpack("env", "--probe", "--python", PYTHON, home=me.home).out)
    next(machines[0].rglob("*.nbi")).write_bytes(b"")
    done = warmpack("env", "--check", "--json", probe, machines[0], home=me.home, expect=1)
    check = json.loads(done.out)["checks"][0]
    assert check["total"] == 3 and check["run"] <= 2 and "corrupt" in check["reasons"]


def test_a_cpu_of_which_nothing_is_known_is_named_as_such(here, me):
    probe = here / "p.json"
    probe.write_text(warmpack("env", "--probe", "--python", PYTHON, home=me.home).out)
    source = here / "app" / "m.py"
    (here / "app" / "__pycache__").mkdir(parents=True)
    source.write_text("")
    for cpu, features, said in (
        ("znver99", "", "compiled for CPU znver99"),
        ("x86-64", "+warp", "compiled with warp"),
        ("znver99", "+64bit,+sse2", "compiled for CPU znver99"),
        ("znver99", BROADWELL, None),  # that says it all
        ("x86-64", "-warp", None),
    ):
        crafted(here / "app" / "__pycache__" / "m.f-1.py311.nbi", "x86_64-pc-linux-gnu", cpu, features)
        done = warmpack("env", "--check", "--json", probe, here / "app", home=me.home, expect=1)
        reasons = json.loads(done.out)["checks"][0]["reasons"]
        assert (said or "") in reasons.get("unknown-cpu", "") and ("unknown-cpu" in reasons) == bool(said)
        done = warmpack("verify", here / "app", home=me.home, expect=1)
        assert ("unknown-cpu" in done.out) == bool(said)
    done = warmpack("env", "--common", here / "app", home=me.home)
    crafted(here / "app" / "__pycache__" / "m.f-1.py311.nbi", "x86_64-pc-linux-gnu", "znver99", "")
    done = warmpack("env", "--common", here / "app", home=me.home, expect=2)
    assert "znver99, which is not known here" in done.err


@pytest.mark.parametrize("cpu, has, lacks", [
    ("diamondrapids", "+avx10.2", "-xop"),
    ("novalake", "+egpr", "-avx512er"),
    ("emeraldrapids", "+avx512fp16", "-avx10.2"),
    ("znver5", "+avx512vp2intersect", "-egpr"),
    ("lunarlake", "+sm4", "-avx512f"),
])
def test_common_knows_CPUs_that_are_newer_than_this_numba(here, me, cpu, has, lacks):
    """Named without a list, so that only the name says what they have."""
    new = crafted(here / "m.f-1.py311.nbi", "x86_64-pc-linux-gnu", cpu, "")
    listed = crafted(
        here / "m.g-1.py311.nbi", "x86_64-pc-linux-gnu", "generic", "+%s,+%s" % (has[1:], lacks[1:])
    )
    said = settings(warmpack("env", "--common", "--json", new, listed, home=me.home).out)
    features = said["NUMBA_CPU_FEATURES"].split(",")
    assert lacks in features
    assert (has in features) == (has != "+avx512vp2intersect")  # only hand-written code has it


@pytest.mark.parametrize(
    "text, said",
    [
        ("{", "is no probe: line 1"),
        ("{}", "its format is not"),
        ('{"format": "warmpack-probe", "version": 2}', "of a version that is not known"),
        ('{"format": "warmpack-probe", "version": 1, "cpu": 5}', '"cpu" is not a text'),
        ('{"format": "warmpack-probe", "version": 1}', "says nothing of its machine"),
        ('{"format": "warmpack-probe", "version": 1, "features": "+avx"}', None),
    ],
)
def test_bad_probes_are_refused_with_the_cause(here, me, text, said):
    (here / "p.json").write_text(text)
    done = warmpack(
        "env", "--common", here / "p.json", home=me.home, expect=2 if said else 0
    )
    assert (said or "") in done.err
    assert bool(done.out) == (said is None)


def test_formats_for_docker_and_spark(machines, me):
    docker = warmpack("env", "--format", "docker", machines[0], home=me.home).out
    assert docker == (
        'ENV NUMBA_CPU_NAME="broadwell"\nENV NUMBA_CPU_FEATURES="%s"\n' % BROADWELL
    )
    spark = warmpack("env", "--format", "spark", machines[0], home=me.home).out
    assert spark == (
        "spark.executorEnv.NUMBA_CPU_NAME=broadwell\n"
        "spark.executorEnv.NUMBA_CPU_FEATURES=%s\n" % BROADWELL
    )
