"""What tasks do. Sent by value, so that workers need nothing of the tests."""


def work(_=None):
    """Says where it is, what it imports, and what Numba loaded and saved."""
    import contextlib
    import io
    import os

    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        import pkg.k

        result = pkg.k.add(20, 22)
    return {"pid": os.getpid(), "file": pkg.k.__file__, "result": result,
            "loads": said.getvalue().count("[cache] data loaded"),
            "saves": said.getvalue().count("[cache] data saved")}
