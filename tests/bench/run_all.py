"""Every comparison of this folder in one call: prints the processor, and one table with the ratios to reach.

  run_all.py HEBM_DIST [--authors CODE] [--before OLD_HEBM_DIST] [--only plain,small,cifar10] [--python PYTHON]

plain: the quickstart's nets against plain PyTorch (and against an earlier program), 3 minutes. small, cifar10: NVAE and
the paper's energy nets against the authors' code, 3 and 10 minutes. All on one thread: leave the machine alone
meanwhile. bfloat16 is left out on a processor without it, the authors' code without --authors."""
import itertools

import compare_authors
import compare_plain
import peers

PARTS = ("plain", "small", "cifar10")


def main():
    parser = peers.parser(__doc__)
    parser.add_argument("--authors", metavar="CODE", help=f"a checkout of {peers.AUTHORS}")
    parser.add_argument("--only", default=",".join(PARTS), help="parts, in this order (default: all)")
    compare_plain.add_options(parser)
    args = parser.parse_args()
    parts = args.only.split(",")
    if not set(parts) <= set(PARTS):
        parser.error(f"--only: expected some of {', '.join(PARTS)}")
    compare_plain.check_options(args)
    args.sizes = [part for part in parts if part != "plain"] if args.authors else []
    args.code, args.device = args.authors, "cpu"
    args.precisions = compare_authors.precisions_here(["float32", "bfloat16"])
    if args.authors:
        peers.check_checkout(args.authors)
    peers.check_python(args.python, peers.AUTHORS_PACKAGES if args.authors else peers.PLAIN_PACKAGES)
    peers.set_threads(args.threads)
    peers.print_machine(args, args.precisions if args.sizes else ["float32"])
    plain = compare_plain.rows(args) if "plain" in parts else []
    peers.print_rows(itertools.chain(plain, compare_authors.rows(args)))
    if not args.authors:
        print("\nNot measured: the authors' code (--authors CODE).")
    if not args.before:
        print("\nNot measured: an earlier program (--before OLD_HEBM_DIST).")
    print("\nNot measured: a GPU (compare_authors.py --device cuda).")


if __name__ == "__main__":
    main()
