#!/usr/bin/env bash
# browser.sh SCRATCH PAGE...: report pages, as other tests made them, open in headless Chromium
# without a word on its console, show their sections and pictures, and are no wider than a phone.
# 77: there is no Chromium here.
set -euo pipefail
scratch=$1 phone=390  # pixels
shift
fail() {
  echo "FAILED: $*" >&2
  exit 1
}
browser=$(command -v chromium || command -v chromium-browser || command -v google-chrome) || {
  echo "skipped: no chromium, chromium-browser or google-chrome"
  exit 77
}
rm -rf -- "$scratch"
mkdir -p -- "$scratch"

# Sets `seen` to "WIDTH PICTURES BROKEN HEADINGS" (pictures and plots; broken ones are pictures) of
# a page in a frame as wide as a phone, and fails with what the console says.
look() { # look PAGE
  cat >"$scratch/frame.html" <<HTML
<title>not seen</title><iframe width="$phone" height="800" src="file://$1"></iframe>
<script>onload = () => {
  const page = document.querySelector("iframe").contentDocument, pictures = [...page.images];
  document.title = [page.documentElement.scrollWidth, page.querySelectorAll("img, svg").length, pictures.filter(p => !p.complete || p.naturalWidth == 0).length,
                    page.querySelectorAll("h2[id]").length].join(" ");
}</script>
HTML
  "$browser" --headless --no-sandbox --disable-gpu --allow-file-access-from-files --enable-logging=stderr --user-data-dir="$scratch/profile" \
    --dump-dom "file://$scratch/frame.html" >"$scratch/dom.html" 2>"$scratch/browser.log" || fail "$1: $browser left with exit code $?: $(tail -n 5 "$scratch/browser.log")"
  ! grep 'CONSOLE' "$scratch/browser.log" || fail "$1: the console says so"
  seen=$(sed -n 's/.*<title>\([0-9 ]*\)<\/title>.*/\1/p;/<title>/q' "$scratch/dom.html")
}

for page; do
  [[ -s $page ]] || fail "$page is not there: the test that makes it did not run"
  look "$page"
  read -r width pictures broken headings <<<"$seen" || fail "$page: not seen by the browser: $(head -c 300 "$scratch/dom.html")"
  echo "$page: $width pixels wide, $pictures pictures, $headings sections"
  ((width <= phone)) || fail "$page: $width pixels wide on a phone of $phone"
  ((pictures > 0 && broken == 0)) || fail "$page: $broken of $pictures pictures do not show"
  ((headings > 1)) || fail "$page: $headings sections"
done

# What this test looks for is found.
{ cat -- "$1" && echo '<script>console.error("so it is")</script>'; } >"$scratch/console.html"
(look "$scratch/console.html") >"$scratch/console.txt" 2>&1 && fail "an error on the console was not noticed"
grep -q 'so it is' "$scratch/console.txt" || fail "an error on the console was not noticed: $(cat "$scratch/console.txt")"
echo "all held"
