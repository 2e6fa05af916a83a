"""What tasks do. Functions within functions: those are sent by value, so that executors need
nothing of the tests."""


def reporting(call, modules=("pkg.k",)):
    """A task that runs CALL() and says where, and what Numba loaded and saved meanwhile; also which
    of MODULES were new to the process: Spark keeps processes for later tasks."""

    def task(_):
        import contextlib
        import io
        import os
        import sys

        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            result = call()
        new = []
        for name in modules:
            module = sys.modules.get(name)
            if module and not hasattr(module, "_seen_by_a_task"):
                module._seen_by_a_task = True
                new.append(name)
        # Whoever writes and compiles natively says so on the same stream.
        package = sys.modules.get("warmpack")
        yield {
            "executor": os.getcwd(),
            "loads": said.getvalue().count("[cache] data loaded"),
            "saves": said.getvalue().count("[cache] data saved"),
            "new": new,
            "package": package.__file__ if package else None,
            "result": result,
        }

    return task


def in_frames(task):
    """The same for mapInPandas: a report is a line of JSON in the column "said"."""

    def work(batches):
        import json

        import pandas

        for _ in batches:
            pass
        for report in task(None):
            yield pandas.DataFrame({"said": [json.dumps(report)]})

    return work


def run_application():
    def call():
        import entry

        entry.application()
        entry.neighbours()
        return entry.__file__

    return call


def run_small():
    def call():
        import pkg.k

        return [pkg.k.__file__, pkg.k.add(20, 22)]

    return call


def from_gnu_tar(name):
    """What people do without warmpack: unpack the file that Spark brought, and import."""
    application = run_application()

    def call():
        import os
        import subprocess
        import sys

        from pyspark import SparkFiles

        subprocess.run(["tar", "-xzf", SparkFiles.get(name)], check=True)
        sys.path.insert(0, os.path.abspath("app"))
        return application()

    return call


def killed_while_unpacking(app, marker):
    """The first to come activates, and kills its whole executor when staging is seen."""

    def call():
        import glob
        import os
        import signal
        import threading

        def kill_in_the_middle(executor):
            while True:
                for path in glob.glob(os.path.join(executor, "warmpack-apps", "*.d", ".warmpack-*")):
                    if os.path.isdir(path):
                        with open(marker, "w") as file:
                            file.write(path)
                        # This worker, the daemon that forked it, and the executor.
                        daemon = os.getppid()
                        with open("/proc/%d/stat" % daemon) as file:
                            jvm = int(file.read().rpartition(")")[2].split()[1])
                        os.kill(jvm, signal.SIGKILL)
                        os._exit(1)

        first = False
        try:
            os.close(os.open(marker, os.O_CREAT | os.O_EXCL))
            first = True
        except FileExistsError:
            pass
        if first:
            threading.Thread(target=kill_in_the_middle, args=(os.getcwd(),)).start()
        app.activate()
        if first:
            raise RuntimeError("unpacked before it was killed")
        import pkg.k

        return [pkg.k.__file__, pkg.k.add(20, 22)]

    return call


def pids():
    """Of the executor that runs the task."""

    def task(_):
        import os
        import time

        with open("/proc/%d/stat" % os.getppid()) as file:
            yield os.getcwd(), int(file.read().rpartition(")")[2].split()[1])
        time.sleep(0.5)

    return task
