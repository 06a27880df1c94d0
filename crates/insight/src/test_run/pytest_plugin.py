"""Plugin of pytest that reports each test to longhaul.

It appends JSON lines to the file that the environment variable LONGHAUL_PYTEST_REPORT names. Load it with
``PYTEST_ADDOPTS="-p longhaul_pytest"``. It needs pytest 7 or newer and Python 3.8 or newer.

The report must never change a result: each error in this file is ignored, and after a failed write nothing more is
written. Under xdist, only the controller writes; the workers attach the details of a failure to their reports.
"""

import json
import os
import reprlib
import sys
import time

import pytest

VARIABLE = "LONGHAUL_PYTEST_REPORT"
FORMAT = 1
# Maximum number of characters of a text, such as a traceback.
MAX_TEXT = 12000
# Maximum number of characters of an id, a file name, a message and a compared value.
MAX_SHORT = 2000
# Maximum number of failures that are reported with traceback and captured output.
MAX_DETAILED = 1000


def pytest_configure(config):
    """Installs the recorder of failures in every process, and the writer of the report in the controller."""
    try:
        config.pluginmanager.register(Recorder(config))
        path = os.environ.get(VARIABLE)
        if path and not hasattr(config, "workerinput"):
            config.pluginmanager.register(Writer(config, path))
    except Exception:
        pass


class Recorder:
    """Attaches the details of a failure to its report, where the exception itself is still known."""

    def __init__(self, config):
        self.config = config
        self.comparison = None

    @pytest.hookimpl(tryfirst=True)
    def pytest_assertrepr_compare(self, op, left, right):
        """Remembers both sides of the last comparison that failed."""
        try:
            self.comparison = (text_of(left), text_of(right)) if op == "==" else None
        except Exception:
            self.comparison = None

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_makereport(self, item, call):
        outcome = yield
        try:
            if call.excinfo is not None:
                details = describe(call.excinfo.value, self.config)
                if self.comparison and isinstance(call.excinfo.value, AssertionError):
                    details["actual"], details["expected"] = self.comparison
                outcome.get_result().longhaul_details = details
        except Exception:
            pass
        self.comparison = None

    @pytest.hookimpl(hookwrapper=True)
    def pytest_make_collect_report(self, collector):
        outcome = yield
        try:
            report = outcome.get_result()
            call = getattr(report, "call", None)
            if report.failed and call is not None and call.excinfo is not None:
                error = call.excinfo.value
                report.longhaul_details = describe(error.__cause__ or error, self.config)
        except Exception:
            pass


class Writer:
    """Writes the report."""

    def __init__(self, config, path):
        self.config = config
        self.path = path
        self.process = os.getpid()
        # Several pytest processes of one command may write to the same report, and a process id may be used again.
        self.writer = "%x-%x" % (self.process, time.time_ns())
        self.detailed = 0
        self.collected = None
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        flags |= getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)
        self.file = os.open(path, flags, 0o600)
        # Another pytest that a test starts must not write to the same report.
        os.environ.pop(VARIABLE, None)

    def write(self, event, **fields):
        # A process that a test forked has a copy of this object.
        if self.file is None or os.getpid() != self.process:
            return
        try:
            fields = {name: value for name, value in fields.items() if value is not None}
            line = json.dumps({"event": event, "writer": self.writer, **fields}).encode("ascii") + b"\n"
            if os.write(self.file, line) != len(line):
                self.close()
        except Exception:
            self.close()

    def close(self):
        file, self.file = self.file, None
        try:
            if file is not None:
                os.close(file)
        except Exception:
            pass

    def name(self, nodeid):
        """Returns the name of a test relative to the working directory, as the command line expects it."""
        try:
            return cut(self.config.cwd_relative_nodeid(nodeid), MAX_SHORT)
        except Exception:
            return cut(nodeid, MAX_SHORT)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self, session):
        try:
            workers = getattr(self.config.option, "numprocesses", None)
            self.write(
                "start",
                format=FORMAT,
                at=round(time.time(), 3),
                pytest=pytest.__version__,
                python=".".join(str(part) for part in sys.version_info[:3]),
                xdist=workers if isinstance(workers, int) else None,
            )
        except Exception:
            pass

    def pytest_collection_finish(self, session):
        try:
            if not self.config.pluginmanager.hasplugin("dsession"):
                self.write("collected", count=len(session.items))
        except Exception:
            pass

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node, ids):
        try:
            if self.collected is None:
                self.collected = len(ids)
                self.write("collected", count=self.collected)
        except Exception:
            pass

    def pytest_collectreport(self, report):
        try:
            if report.failed:
                nodeid = report.nodeid or str(getattr(report, "fspath", "") or "")
                self.write("collect_error", id=self.name(nodeid), **self.details(report))
        except Exception:
            pass

    def pytest_runtest_logreport(self, report):
        try:
            outcome = outcome_of(report)
            fields = self.details(report) if outcome in ("failed", "error", "rerun") else {}
            if "file" not in fields:
                fields["file"], fields["line"] = self.location(report)
            if outcome in ("skipped", "xfailed"):
                fields["reason"] = reason_of(report)
            self.write(
                "phase",
                id=self.name(report.nodeid),
                phase=report.when if report.when in ("setup", "call", "teardown") else "crash",
                outcome=outcome,
                duration=round(float(getattr(report, "duration", 0.0)), 6),
                worker=getattr(report, "worker_id", None),
                **fields,
            )
        except Exception:
            pass

    def pytest_internalerror(self, excrepr):
        try:
            lines = str(excrepr).strip().splitlines()
            self.write("internal_error", message=cut(lines[-1] if lines else "", MAX_SHORT))
        except Exception:
            pass

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session, exitstatus):
        try:
            self.write("finish", exit=int(exitstatus), at=round(time.time(), 3))
        except Exception:
            pass

    def pytest_unconfigure(self):
        self.close()
        try:
            if os.getpid() == self.process:
                os.environ.setdefault(VARIABLE, self.path)
        except Exception:
            pass

    def details(self, report):
        """Returns the texts of a failure, with its place."""
        fields = dict(getattr(report, "longhaul_details", None) or {})
        path = fields.pop("path", None)
        if path:
            fields["file"] = self.relative(path)
        else:
            fields.pop("line", None)
        if "message" not in fields:
            crash = getattr(report.longrepr, "reprcrash", None)
            fields["message"] = cut(getattr(crash, "message", None) or str(report.longrepr), MAX_SHORT)
        self.detailed += 1
        if self.detailed <= MAX_DETAILED:
            fields["trace"] = cut(report.longreprtext, MAX_TEXT)
            sections = [content for title, content in report.sections if title.startswith("Captured")]
            fields["captured"] = cut("".join(sections), MAX_TEXT) or None
        else:
            fields.pop("expected", None)
            fields.pop("actual", None)
        return fields

    def relative(self, path):
        try:
            return cut(os.path.relpath(path, str(self.config.invocation_params.dir)), MAX_SHORT)
        except Exception:
            return cut(path, MAX_SHORT)

    def location(self, report):
        location = getattr(report, "location", None)
        if not location:
            return None, None
        file = self.relative(os.path.join(str(self.config.rootpath), str(location[0])))
        return file, location[1] + 1 if isinstance(location[1], int) else None


def outcome_of(report):
    """Returns the outcome of one phase."""
    expected_to_fail = hasattr(report, "wasxfail")
    if report.outcome == "skipped":
        return "xfailed" if expected_to_fail else "skipped"
    if report.outcome == "passed":
        return "xpassed" if expected_to_fail and report.when == "call" else "passed"
    if report.outcome == "failed":
        return "error" if report.when in ("setup", "teardown") else "failed"
    return cut(report.outcome, 20)


def reason_of(report):
    """Returns the reason of a skip, or of an expected failure."""
    reason = getattr(report, "wasxfail", None)
    if not reason and isinstance(report.longrepr, tuple):
        reason = report.longrepr[-1]
    return cut(reason, MAX_SHORT) if reason else None


def describe(error, config):
    """Returns the type, the message and the place of an exception."""
    try:
        message = str(error)
    except Exception:
        message = "the exception has no text"
    path, line = place_of(error, str(config.rootpath))
    return {"kind": cut(type(error).__name__, 200), "message": cut(message, MAX_SHORT), "path": path, "line": line}


def place_of(error, root):
    """Returns the innermost place in the project that an exception passed."""
    if isinstance(error, SyntaxError) and error.filename:
        return error.filename, error.lineno
    place = (None, None)
    trace = error.__traceback__
    while trace is not None:
        path = trace.tb_frame.f_code.co_filename
        if path.startswith(root + os.sep) and "site-packages" not in path:
            place = (path, trace.tb_lineno)
        trace = trace.tb_next
    return place


class Shortener(reprlib.Repr):
    """Returns the text of a value without the cost of a huge one."""

    def __init__(self):
        super().__init__()
        self.maxlevel = 8
        self.maxstring = self.maxother = self.maxlong = MAX_SHORT
        self.maxdict = self.maxlist = self.maxtuple = self.maxset = self.maxfrozenset = 50
        self.maxdeque = self.maxarray = 50


def text_of(value):
    return cut(Shortener().repr(value), MAX_SHORT)


def cut(text, limit):
    """Returns a text of at most ``limit`` characters. The start and the end say the most, so the middle is left out."""
    text = str(text)
    if len(text) > limit:
        text = text[: limit // 2] + " … " + text[3 - limit // 2 :]
    # Half of a surrogate pair is not valid JSON.
    return text.encode("utf-8", "replace").decode("utf-8")
