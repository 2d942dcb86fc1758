#!/usr/bin/env bash
# Does what Dockerfile.cpu says in two clean Debian 12 root file systems, without Docker, then runs
# the result as its user:
#   sudo tools/container/try.sh [FOLDER]
#
# Needs root and debootstrap; takes about 10 minutes and 10 GB under FOLDER, removed at the end.
# Exit code 77: this machine cannot make such a file system.
set -euo pipefail
folder="$(mkdir -p "${1:-/tmp/roadmark-container}" && cd "${1:-/tmp/roadmark-container}" && pwd -P)"
checkout="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)"
say() { printf 'container: %s\n' "$*" >&2; }

if [[ $(id -u) != 0 ]] || ! command -v debootstrap >/dev/null; then
  say "needs root and debootstrap (apt-get install debootstrap)"
  exit 77
fi
# Mounts end with a name space of their own, however this ends.
if [[ -z ${IN_OWN_MOUNTS:-} ]]; then
  IN_OWN_MOUNTS=1 exec unshare --mount --propagation=private "$0" "$folder"
fi
clean_up() {
  umount --recursive --lazy "$folder"/{build,run}/{proc,dev} 2>/dev/null || true
  rm -rf --one-file-system "$folder"/{base,build,run}
}
trap clean_up EXIT

in_root() { # ROOT COMMAND...
  local root="$1"
  shift
  # uv knows no certificates but its own, unless it is told.
  chroot "$root" /usr/bin/env -i HOME=/root LANG=C.UTF-8 \
    SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt \
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"
}

# Words before a command, not a function: what runs in the background is to have the number in $!.
as_user=(chroot --userspec=10001:10001 "$folder/run" /usr/bin/env -i HOME=/home/roadmark
  LANG=C.UTF-8 PATH=/usr/local/bin:/usr/bin:/bin sh -c 'cd /work && exec "$@"' sh)

make_root() { # ROOT
  cp -a "$folder/base" "$1"
  mount -t proc proc "$1/proc"
  mount --rbind /dev "$1/dev"
}

say "a clean Debian 12"
debootstrap --variant=minbase --include=ca-certificates bookworm "$folder/base" >&2 || {
  say "debootstrap failed"
  exit 77
}
# How this machine reaches packages: addresses, mirrors, certificates.
cp -rL /etc/{hosts,resolv.conf,ssl,pip.conf} "$folder/base/etc/" 2>/dev/null || true
cp -r /etc/apt/apt.conf.d "$folder/base/etc/apt/"

say "Dockerfile.cpu, stage build"
make_root "$folder/build"
mkdir "$folder/build/src"
git -C "$checkout" archive HEAD | tar --extract --directory="$folder/build/src"
in_root "$folder/build" /src/tools/container/steps.sh build cpu

say "Dockerfile.cpu, the image"
make_root "$folder/run"
cp -a "$folder/build/opt/roadmark" "$folder/run/opt/"
in_root "$folder/run" /opt/roadmark/bin/steps.sh run
du -sh "$folder/run" --exclude=proc --exclude=dev

say "running it as its user"
"${as_user[@]}" roadmark doctor
"${as_user[@]}" roadmark prepare --from=synthetic --num_images=40 --out=data/records --seed=1
"${as_user[@]}" roadmark train --config=/opt/roadmark/configs/quickstart.config --steps=5 \
  --train_records='data/records/train-*' --label_map=data/records/label_map.pbtxt --model_dir=run
"${as_user[@]}" roadmark export --model_dir=run
"${as_user[@]}" roadmark serve --model=run/export --port=18080 &
service=$!
for _ in $(seq 60); do
  "${as_user[@]}" env SAGEMAKER_BIND_TO_PORT=18080 /opt/roadmark/bin/healthy 2>/dev/null && break
  sleep 1
done
"${as_user[@]}" env SAGEMAKER_BIND_TO_PORT=18080 /opt/roadmark/bin/healthy
kill "$service"
wait "$service"
say "done"
