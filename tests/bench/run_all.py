"""Every comparison of this folder in one call: prints the processor, and one table with the ratios to reach.

  run_all.py HEBM_DIST [--authors CODE] [--before OLD_HEBM_DIST] [--only plain,small,cifar10] [--python PYTHON]

plain: the quickstart's nets against plain PyTorch (and against an earlier program), 3 minutes. small, cifar10: NVAE
and the paper's energy nets against the authors' code, 3 and 10 minutes. All on one thread: leave the machine alone
meanwhile. bfloat16 is left out on a processor without it, the authors' code without --authors. The last lines name
what was not measured."""
import itertools

import compare_authors
import compare_plain
import peers

PARTS = ("plain", "small", "cifar10")


def not_measured(rows, sizes=("small", "cifar10")):
    """What these rows lack, and by which options it is measured."""
    references, precisions = {row.reference for row in rows}, {row.precision for row in rows}
    if "plain PyTorch" not in references:
        yield "plain PyTorch (--only plain)"
    if "earlier program" not in references:
        yield "an earlier program (--only plain --before OLD_HEBM_DIST)"
    if "authors' code" not in references:
        yield f"the authors' code (--only {','.join(sizes)} --authors CODE)"
    else:
        for size in sizes:
            if not any(compare_authors.PRESETS[size] in row.work for row in rows):
                yield f"{size} (--only {size} --authors CODE)"
    if "bfloat16" not in precisions:
        how = f"--only {','.join(sizes)} --authors CODE" if peers.has_bfloat16() else "no AVX512_BF16 here"
        yield f"bfloat16 ({how})"
    yield "a GPU (compare_authors.py --device cuda)"


def main():
    parser = peers.parser(__doc__)
    parser.add_argument("--authors", metavar="CODE", help=f"a checkout of {peers.AUTHORS}")
    parser.add_argument("--only", type=peers.some_of(PARTS), default=",".join(PARTS),
                        help="parts, in this order (default: all)")
    compare_plain.add_options(parser)
    args = parser.parse_args()
    with_plain = "plain" in args.only
    args.sizes = [part for part in args.only if part != "plain"] if args.authors else []
    if not with_plain and not args.sizes:
        parser.error(f"--only {','.join(args.only)} needs --authors CODE")
    args.code, args.device = args.authors, "cpu"
    args.precisions = compare_authors.precisions_here(["float32", "bfloat16"])
    peers.check_program(args.program)
    if with_plain:
        compare_plain.check_programs(args)
    if args.sizes:
        peers.check_checkout(args.authors)
    versions = peers.check_python(args.python, peers.AUTHORS_PACKAGES if args.sizes else peers.PLAIN_PACKAGES)
    peers.set_threads(args.threads)
    peers.print_machine(args, args.precisions if args.sizes else ["float32"], versions["torch"])
    plain = compare_plain.rows(args) if with_plain else []
    rows = peers.print_rows(itertools.chain(plain, compare_authors.rows(args)))
    for what in not_measured(rows):
        print(f"\nNot measured: {what}.")


if __name__ == "__main__":
    main()
