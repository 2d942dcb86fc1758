"""Finds a Python interpreter on this machine that can carry a locked environment."""

_PROBE = """
import json, os, struct, sys, sysconfig
major_minor = "%d.%d" % sys.version_info[:2]
problems = []
try:
    import ensurepip, venv
except Exception as error:
    problems.append("cannot create virtualenvs (%s); install python%s-venv" % (error, major_minor))
include = sysconfig.get_path("include")
if not os.path.exists(os.path.join(include, "Python.h")):
    problems.append("no Python.h in %s; install python%s-dev" % (include, major_minor))
print(json.dumps({
    "version": major_minor,
    "full_version": sys.version.split()[0],
    "executable": os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable),
    "include": include,
    "implementation": sys.implementation.name,
    "bits": struct.calcsize("P") * 8,
    "problems": problems,
}))
"""

def _newest_first(rctx, folder, prefix):
    root = rctx.path(folder)
    if not root.exists:
        return []
    return reversed(sorted([str(p) for p in root.readdir() if p.basename.startswith(prefix)]))

def _candidates(rctx, version):
    env = rctx.os.environ
    if env.get("ROADMARK_PYTHON"):
        # An explicit choice is never silently replaced by another interpreter.
        return [env["ROADMARK_PYTHON"]]
    exe = "python" + version
    found = [str(p) for p in [rctx.which(exe), rctx.which("python3")] if p]
    home = env.get("HOME", "")
    pyenv = env.get("PYENV_ROOT", home + "/.pyenv")
    if pyenv.startswith("/"):
        found += [d + "/bin/" + exe for d in _newest_first(rctx, pyenv + "/versions", version + ".")]
    uv = env.get("UV_PYTHON_INSTALL_DIR", home + "/.local/share/uv/python")
    if uv.startswith("/"):
        found += [d + "/bin/" + exe for d in _newest_first(rctx, uv, "cpython-" + version + ".")]
    return found + ["/usr/bin/" + exe, "/usr/local/bin/" + exe]

def _probe(rctx, candidate, version):
    """Returns (description, None) of a usable interpreter, or (None, why it is not)."""
    if not rctx.path(candidate).exists:
        return None, "no such file"
    result = rctx.execute([candidate, "-I", "-c", _PROBE], timeout = 60)
    if result.return_code != 0:
        return None, (result.stderr.strip().split("\n") or ["does not run"])[-1]
    python = json.decode(result.stdout.strip())
    if python["version"] != version:
        return None, "is Python " + python["full_version"]
    if python["implementation"] != "cpython" or python["bits"] != 64:
        return None, "is not 64-bit CPython"
    if python["problems"]:
        return None, "; ".join(python["problems"])
    return python, None

def find_python(rctx, version):
    """Runs every candidate and returns the first usable one; fails with the list of what it saw.

    Args:
      rctx: the repository context.
      version: "major.minor".
    Returns:
      A dict with `executable`, `include`, `version` and `full_version`.
    """
    rejected = {}
    for candidate in _candidates(rctx, version):
        if candidate in rejected:
            continue
        python, reason = _probe(rctx, candidate, version)
        if python:
            return python
        rejected[candidate] = reason
    fail("""

No usable Python {version} was found.

  Looked at, in this order:
{seen}

  Fix, one of:
    sudo apt-get install python{version} python{version}-venv python{version}-dev
    uv python install {version}
    bazel test --repo_env=ROADMARK_PYTHON=/path/to/python{version} //...
""".format(
        version = version,
        seen = "\n".join(["    - %s: %s" % (path, why) for path, why in rejected.items()]),
    ))
