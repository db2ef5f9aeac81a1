#!/bin/sh
# install.sh VERSION URL SHA256: Julia and its kernel for Jupyter, under
# /layers/julia. An empty URL is the project's own archive of that version.
set -eu
version=$1 url=$2 sha256=$3
root=/layers/julia
arch=$(uname -m)
case $arch in
    x86_64) folder=x64 ;;
    *) folder=$arch ;;
esac
[ -n "$url" ] ||
    url=https://julialang-s3.julialang.org/bin/linux/$folder/${version%.*}/julia-$version-linux-$arch.tar.gz

echo "julia: $url"
curl -fsSL --retry 3 -o /tmp/julia.tar.gz "$url"
[ -z "$sha256" ] || echo "$sha256  /tmp/julia.tar.gz" | sha256sum -c -
mkdir -p /opt/julia "$root/opt" "$root/usr/local/bin"
tar -xzf /tmp/julia.tar.gz -C /opt/julia --strip-components=1
rm /tmp/julia.tar.gz

# IJulia into a depot of the system, which comes after the user's own: what a
# user adds goes to ~/.julia, and a new user has the kernel all the same.
export JULIA_DEPOT_PATH=/opt/julia/depot JULIA_SSL_CA_ROOTS_PATH=/etc/ssl/certs/ca-certificates.crt
# shellcheck disable=SC2016 # the $(...) are Julia's
JUPYTER_DATA_DIR=$root/usr/local/share/jupyter /opt/julia/bin/julia -e '
    using Pkg
    Pkg.add("IJulia")
    Pkg.precompile()
    import IJulia
    IJulia.installkernel("Julia"; env = Dict(
        "JULIA_DEPOT_PATH" => ":/opt/julia/depot",
        "JULIA_LOAD_PATH" => ":/opt/julia/depot/environments/v$(VERSION.major).$(VERSION.minor)"))'
rm -rf /opt/julia/depot/registries /opt/julia/depot/logs
mv /opt/julia "$root/opt/julia"
ln -s /opt/julia/bin/julia "$root/usr/local/bin/julia"
