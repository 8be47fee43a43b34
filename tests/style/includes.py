"""Which module may include which (the table of docs/tour.md), which library belongs to which module, and what no
source may say: nothing reads code from files."""
import re

WITHOUT_TORCH = {"base", "comm", "storage", "data", "results", "report", "sweep", "data_tools"}
ALL_OF_TORCH = {"nets", "vae", "prior", "train"}
COMMENT_OR_LITERAL = re.compile(
    r"""//[^\n]*|/\*.*?(?:\*/|\Z)|R"([^(\n]*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"?|(?<!\w)'(?:\\.|[^'\\\n])*'?""", re.S)


def read_table(tour):
    """Module -> modules that it may include, of the table of docs/tour.md whose last column is a list of modules,
    `all`, or `all above [but MODULE]`; `; MODULE: OTHER alone` behind it takes MODULE from all of the row but OTHER."""
    table = {}
    for row in re.findall(r"^\| (`.*?) \|.*\| ([^|]*) \|$", tour, re.M):
        allowed, *limits = row[1].replace("`", "").split("; ")
        above = set(table)
        modules = re.findall(r"`(\w+)`", row[0])
        if allowed.startswith("all above"):
            chosen = above - set(re.findall(r"\w+", allowed.removeprefix("all above").removeprefix(" but")))
        elif allowed == "all":
            chosen = above
        else:
            chosen = set(re.findall(r"\w+", allowed))
        if not chosen <= above:
            raise ValueError(f"docs/tour.md: {modules} may include '{allowed}', which does not stand above")
        table.update({module: set(chosen) for module in modules})
        for limit in limits:
            taken, only = re.fullmatch(r"(\w+): (\w+) alone", limit).groups()
            for module in set(modules) - {only}:
                table[module].discard(taken)
    table["data_tools"] = {"base", "storage", "data"}
    return table


def strip(text, literals):
    """Without comments, and with `literals` without the insides of literals; lines stay."""
    def blank(match):
        token = match.group()
        if token.startswith("/"):
            return re.sub(r"[^\n]", " ", token)
        return re.sub(r"[^\n]", " ", token) if literals else token
    return COMMENT_OR_LITERAL.sub(blank, text)


def check_target(module, is_header, target, quoted, table):
    first = target.split("/")[0]
    if "/" in target and first in table:
        return None if first == module or first in table[module] else f"{module}/ may not include {target}"
    if quoted:
        own = module == "data_tools" and "/" not in target
        return None if own else f'"{target}" does not start with a module of the table'
    if re.match(r"mpi\.h|mpi-|nccl", target) and module != "comm":
        return f"<{target}> belongs to comm/ alone"
    if re.match(r"hdf5|H5", target) and module != "storage":
        return f"<{target}> belongs to storage/ alone"
    if first in ("torch", "ATen", "c10", "caffe2") and module in WITHOUT_TORCH:
        return f"{module}/ may not include torch: <{target}>"
    if first == "torch" and is_header:
        return f"a header may not include <{target}>; ATen/core/Tensor.h will do"
    if target in ("torch/torch.h", "torch/all.h", "torch/extension.h") and module not in ALL_OF_TORCH:
        return f"<{target}> belongs to sources of nets, vae, prior and train"
    if target == "torch/script.h" or target.startswith("torch/csrc/jit") or "pickle" in target:
        return f"<{target}> reads code from files; weights are safetensors"
    return None


def check_include(module, is_header, line, table):
    match = re.match(r"\s*#\s*include\s*(.*)", line)
    if not match:
        return None
    named = re.match(r'<([^>]*)>|"([^"]*)"', match.group(1))
    if not named:
        return 'an include must name its file in <> or ""'
    target = named.group(1) or named.group(2) or ""
    if ".." in target:
        return f'"{target}" leaves its folder; start with the module'
    return check_target(module, is_header, target, named.group(2) is not None, table)


def check_words(is_header, line):
    for banned in ("torch::load", "jit::load", "torch::jit", "import_ir_module", "pickle"):
        if banned in (line.lower() if banned == "pickle" else line):
            return f"{banned} runs code from files; weights are safetensors"
    if is_header and re.search(r"(?<!\w)using namespace", line):
        return "a header may not say `using namespace`"
    return None


def violations(path, text, table):
    parts = path.removeprefix("src/").split("/")
    module, is_header = parts[0] if len(parts) > 1 else "", path.endswith((".h", ".cuh"))
    if module not in table:
        return [f"{path}:1: its folder is not in the table of modules"]
    code, words = strip(text, False), strip(text, True)
    found = []
    if is_header and "#pragma once" not in code:
        found.append(f"{path}:1: a header without #pragma once")
    for number, (line, bare) in enumerate(zip(code.split("\n"), words.split("\n")), 1):
        for problem in (check_include(module, is_header, line, table), check_words(is_header, bare)):
            if problem:
                found.append(f"{path}:{number}: {problem}")
    return found
