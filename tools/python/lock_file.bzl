"""Reads the lock files that `uv pip compile --generate-hashes` writes."""

def target_name(distribution):
    """`absl-py` is the target `absl_py`."""
    return distribution.replace("-", "_").replace(".", "_").lower()

def read_pins(text):
    """The pins of a lock file.

    Args:
      text: the lock file's content.
    Returns:
      A list of structs: `name`, `target`, `version`, and `entry` (the pin with its hashes).
    """
    pins = []
    for line in text.replace("\\\n", " ").split("\n"):
        entry = " ".join([word for word in line.split(" #")[0].split(" ") if word])
        if not entry or entry.startswith("#"):
            continue
        name, _, rest = entry.partition("==")
        if " --hash=" not in rest:
            fail("no --hash in the lock file for: " + entry)
        name = name.split("[")[0]
        version = rest.split(" ")[0]
        pins.append(struct(name = name, target = target_name(name), version = version, entry = entry))
    return pins
