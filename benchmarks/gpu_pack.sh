#!/usr/bin/env bash
# Pack what a GPU machine without a network lacks: wheels and data, under 60 MB.
#
#   benchmarks/gpu_pack.sh FOLDER NAME=DATALIST ...
#   benchmarks/gpu_pack.sh build/gpu isic2018=data/isic2018/datalist.json ph2=data/ph2/datalist.json
#
# The machine is taken to have Linux on x86-64, Python 3.12 (GPU_PYTHON), torch 2.8 or newer with Triton, numpy, scipy,
# pandas, scikit-image, matplotlib, pillow, jinja2, tqdm, pyyaml, filelock, psutil, requests, tifffile and lazy-loader.
# Copy the repository with FOLDER there; README.txt in FOLDER has the command that installs from it without an index.
set -euo pipefail
cd "$(dirname "$0")/.."
[ $# -ge 2 ] || { sed -n '2,9s/^# \{0,1\}//p' "$0" >&2; exit 1; }
folder=$1; shift
python=${GPU_PYTHON:-3.12}
bin=.venv/bin
[ -x "$bin/python" ] || { echo "Error: no $bin; run \`make train\` or \`make test\` once, which makes it" >&2; exit 1; }

mkdir -p "$folder/wheels"
rm -f "$folder"/wheels/*
platforms=()
for version in 2014 _2_17 _2_28; do platforms+=(--platform "manylinux${version}_x86_64"); done
get() {
    "$bin/python" -m pip --disable-pip-version-check download --quiet --dest "$folder/wheels" --constraint constraints.txt \
        --only-binary :all: --implementation cp --python-version "$python" "${platforms[@]}" "$@"
}
get --no-deps monai pytorch-ignite nibabel einops  # torch and numpy are there; einops is for MONAI's SwinUNETR
get fire pydantic

"$bin/python" -m benchmarks.gpu_data "$folder/data.zip" "$@"
cat > "$folder/README.txt" <<END
In the repository's folder, on the GPU machine:

python3 -m pip install --no-index --no-deps --target $folder/packages $folder/wheels/*.whl
export PYTHONPATH=\$PWD/$folder/packages:\$PWD
python3 -m benchmarks.gpu --output OUTPUT
python3 -m benchmarks.gpu_isic2018 $folder/data.zip --output OUTPUT --minutes 60
END
du -sm "$folder" | awk '{ print "'"$folder"': " $1 " MB"; exit $1 > 60 }'
