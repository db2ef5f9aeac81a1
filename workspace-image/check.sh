#!/usr/bin/env bash
# check.sh [IMAGE]: looks at a workspace image from inside, in a container that is
# held as the proxy holds one: no capabilities, no new privileges, limits, and an
# empty home mounted over /home/user. Needs Docker, no network, about a minute.
# shellcheck disable=SC2016 # lines in '...' are for the shell in the container
set -euo pipefail

image=${1:-vestibule-workspace:latest}
target=$(docker image inspect --format '{{index .Config.Labels "org.vestibule.target"}}' "$image")
version=$(docker image inspect --format '{{index .Config.Labels "org.opencontainers.image.version"}}' "$image")
printf 'checking %s (%s, version %s)\n' "$image" "$target" "$version"

passed=0 failed=0
home=$(mktemp -d)
container=vestibule-check-$$
cleanup() {
    docker rm -f "$container" > /dev/null 2>&1 || true
    # What is in there belongs to uid 1000, who need not be us.
    docker run --rm --user 0 -v "$home:/mnt" --entrypoint sh "$image" \
        -c 'find /mnt -mindepth 1 -delete' > /dev/null 2>&1 || true
    rmdir "$home"
}
trap cleanup EXIT

# check SENTENCE COMMAND...: passes if the command does; else shows its output.
check() {
    local sentence=$1 out
    shift
    if out=$("$@" 2>&1); then
        passed=$((passed + 1))
        printf 'ok    %s\n' "$sentence"
    else
        failed=$((failed + 1))
        printf 'FAIL  %s\n%s\n' "$sentence" "$(tail -n 12 <<< "$out" | sed 's/^/      /')"
    fi
}

# inside SENTENCE SCRIPT: the same for a line of bash in the container. No pipefail:
# a `grep -q` that has seen enough must not fail the writer before it. Bash with
# neither profile nor rc, so PATH is the image's.
inside() { check "$1" docker exec "$container" bash --noprofile --norc -eu -c "$2"; }

# within SECONDS SENTENCE SCRIPT: tries until it passes.
within() {
    local line="for i in {1..$(($1 * 5))}; do if { $3; }; then exit 0; fi; sleep 0.2; done; exit 1"
    inside "$2" "$line"
}

docker run --rm --user 0 -v "$home:/mnt" --entrypoint chown "$image" 1000:1000 /mnt
docker run -d --name "$container" --cap-drop ALL --security-opt no-new-privileges \
    --pids-limit 1024 --memory 4g -v "$home:/home/user" "$image" > /dev/null

# ---- the user, the entrypoint
inside 'the image has its version and target as labels' "[[ '$version' =~ ^[0-9]+\.[0-9]+\.[0-9]+$ && '$target' =~ ^(slim|full)$ ]]"
inside 'the user is user, uid and gid 1000, at home in /home/user' \
    '[[ $(id -un):$(id -u):$(id -g):$HOME:$PWD == user:1000:1000:/home/user:/home/user ]]'
inside 'tini is process 1 and holds sleep' '[[ $(tr "\0" " " < /proc/1/cmdline) == "tini -- sleep infinity "* ]]'
inside 'the home and /tmp can be written' 'touch ~/a /tmp/a && rm ~/a /tmp/a'
inside 'no program raises rights, and sudo is not there' \
    '! command -v sudo && grep -q "NoNewPrivs:.1" /proc/self/status && grep -qE "CapBnd:.0+$" /proc/self/status'
inside 'the locale is UTF-8' '[[ $(locale charmap) == UTF-8 ]]'
inside 'the image trusts no authority but the distribution'"'"'s' '
    want=$({ grep -v "^[#!]" /etc/ca-certificates.conf; ls /usr/local/share/ca-certificates; } | grep -c "\.crt$")
    [[ $(grep -c "BEGIN CERT" /etc/ssl/certs/ca-certificates.crt) == "$want" ]]'
inside 'git, pip, npm and the IDEs kept no files of the build' '! ls -d /root/.npm /root/.cache/pip /layers /tmp/certs /tmp/etc'

# ---- shells in an empty home
for shell in '-ic' '-lic' '-lc'; do
    inside "bash $shell finds python, the IDEs and ~/.local/bin" \
        "[[ \$(bash $shell 'python --version') == 'Python 3.'* ]]
         [[ \$(bash $shell 'command -v python') == /opt/venv/bin/python ]]
         bash $shell 'command -v python3 pip jupyter jupyter-lab code-server'
         bash $shell 'case :\$PATH: in *:/home/user/.local/bin:*) ;; *) exit 1 ;; esac'"
done
for shell in '-ic' '-lic'; do
    inside "bash $shell knows ll and shows user, host and folder in its prompt" \
        "bash $shell 'll /' | grep -q ' home/'
         bash $shell 'echo \"\${PS1@P}\"' | grep -q 'user@.*~.*[$]'"
done
inside 'sh -lc has the same PATH' '[[ $(sh -lc "command -v python") == /opt/venv/bin/python ]]'
inside 'with no shell: python, python3, pip, jupyter, jupyter-lab, code-server' \
    'for c in python python3 pip jupyter jupyter-lab; do [[ $(command -v $c) == /opt/venv/bin/$c ]]; done; [[ $(command -v code-server) == /usr/local/bin/code-server ]]'
check 'docker exec of a command with no shell finds it too' docker exec "$container" jupyter --version
inside 'git commits in an empty home, once told a name' '
    cd "$(mktemp -d)" && git init -q . && touch a && git add a
    git -c user.name=U -c user.email=u@example.org commit -qm first && git log --oneline | grep -q first'
inside 'pip installs for the user, and the command is on PATH' '
    cd "$(mktemp -d)" && python - <<EOF
import zipfile
info = "probe-1.dist-info/"
with zipfile.ZipFile("probe-1-py3-none-any.whl", "w") as z:
    z.writestr("probe.py", "def main(): print(\"probed\")")
    z.writestr(info + "METADATA", "Metadata-Version: 2.1\nName: probe\nVersion: 1\n")
    z.writestr(info + "WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    z.writestr(info + "entry_points.txt", "[console_scripts]\nprobe = probe:main\n")
    z.writestr(info + "RECORD", "")
EOF
    pip install -q --no-index ./probe-1-py3-none-any.whl
    [[ $(probe) == probed && $(command -v probe) == /home/user/.local/bin/probe ]]'
inside 'python -m venv makes a venv with pip' 'python -m venv /tmp/v && /tmp/v/bin/pip --version'

# ---- tools
tools=(curl git less nano python3 scp sftp ssh ssh-keygen tini tmux vi pgrep ps top)
[[ $target == slim ]] ||
    tools+=(cc emacs file g++ gcc gfortran htop jq make R Rscript rsync tree unzip vim wget xz zip)
for tool in "${tools[@]}"; do
    inside "there is $tool" "command -v $tool"
done
inside 'the sftp server, /usr/lib/openssh/sftp-server, lists a folder' \
    'sftp -q -b - -D /usr/lib/openssh/sftp-server <<< "ls /" | grep -q /home'

# ---- Python
modules='jupyterlab IPython ipykernel requests bs4'
[[ $target == slim ]] || modules+=' numpy scipy pandas matplotlib seaborn sklearn plotly'
for module in $modules; do
    inside "python imports $module" "python -c 'import $module'"
done
inside 'all packages fit together' 'pip check'

# run_notebook KERNEL CODE: a real kernel runs it.
run_notebook() {
    inside "the kernel $1 runs code" "
        cd /tmp && python - > check-$1.ipynb <<'EOF'
import json
print(json.dumps({'nbformat': 4, 'nbformat_minor': 5,
    'metadata': {'kernelspec': {'name': '$1', 'display_name': '$1'}},
    'cells': [{'id': 'a', 'cell_type': 'code', 'metadata': {}, 'outputs': [],
               'execution_count': None, 'source': '''$2'''}]}))
EOF
        jupyter execute --inplace check-$1.ipynb && grep -q 'it is 42' check-$1.ipynb"
}
inside 'jupyter lists the kernel python3' 'jupyter kernelspec list | grep -q "python3 .*/opt/venv/"'
run_notebook python3 'import sys; assert sys.prefix == "/opt/venv"; print("it is", 6 * 7)'

if [[ $target == full ]]; then
    inside 'matplotlib and seaborn draw to a file' '
        cd /tmp && python -c "
import matplotlib.pyplot as plt, pandas as pd, seaborn as sns
sns.scatterplot(data=pd.DataFrame({\"x\": [1, 2, 3], \"y\": [2, 4, 8]}), x=\"x\", y=\"y\")
plt.savefig(\"plot.png\")" && file plot.png | grep -q "PNG image data"'
    inside 'scikit-learn fits a model' 'python -c "
from sklearn.linear_model import LinearRegression as L
assert abs(L().fit([[1], [2], [3]], [2, 4, 6]).coef_[0] - 2) < 1e-9"'
    inside 'plotly writes a page' 'python -c "
import plotly.express as px
px.line(x=[1, 2], y=[3, 4]).write_html(\"/tmp/plot.html\")" && grep -q plotly /tmp/plot.html'
    inside 'R loads ggplot2, dplyr, tidyr and draws to a file' '
        cd /tmp && Rscript -e "
            suppressMessages({library(ggplot2); library(dplyr); library(tidyr)})
            d <- data.frame(g = 1:2, a = 3:4, b = 5:6) |> pivot_longer(c(a, b)) |> filter(value > 3)
            ggsave(\"r.png\", ggplot(d, aes(g, value)) + geom_point(), width = 3, height = 3)" &&
        file r.png | grep -q "PNG image data"'
    inside 'jupyter lists the kernel ir' 'jupyter kernelspec list | grep -q "ir .*/usr/local/share/jupyter/kernels/ir"'
    run_notebook ir 'library(dplyr); cat("it is", 6 * 7)'
    inside 'a C extension for Python compiles' '
        cd "$(mktemp -d)" && printf "#include <Python.h>\nint main(void) { Py_Initialize(); return Py_FinalizeEx(); }\n" > a.c
        gcc a.c -o a $(python3-config --cflags --embed --ldflags) && ./a'
    inside 'install.packages compiles C code into a library of the user' '
        cd "$(mktemp -d)" && mkdir -p probe/src
        printf "Package: probe\nVersion: 1.0\nTitle: P\n" > probe/DESCRIPTION
        printf "useDynLib(probe)\nexport(two)\n" > probe/NAMESPACE
        mkdir probe/R && printf "two <- function() .Call(\"two\", PACKAGE = \"probe\")\n" > probe/R/two.R
        printf "#include <Rinternals.h>\nSEXP two(void) { return ScalarInteger(2); }\n" > probe/src/two.c
        R CMD build probe && Rscript -e "install.packages(\"probe_1.0.tar.gz\", repos = NULL)" &&
        Rscript -e "stopifnot(probe::two() == 2L, startsWith(find.package(\"probe\"), \"/home/user/R/\"))"'
    inside 'emacs evaluates' '[[ $(emacs -Q --batch --eval "(princ (* 6 7))" 2> /dev/null) == 42 ]]'
fi

# What the build arguments brought, if anything.
asked() { docker exec "$container" grep -qrs "$1=1" /etc/vestibule; }
! asked pytorch ||
    inside 'PyTorch multiplies' 'python -c "import torch; assert (torch.ones(2, 2) @ torch.ones(2, 2)).sum() == 8"'
! asked tensorflow ||
    inside 'TensorFlow multiplies' 'python -c "import tensorflow as tf; assert tf.reduce_sum(tf.ones((2, 2)) @ tf.ones((2, 2))) == 8"'
if asked julia; then
    inside 'julia computes' '[[ $(julia -e "print(6 * 7)") == 42 ]]'
    inside 'jupyter lists a Julia kernel' 'jupyter kernelspec list | grep -qi julia'
fi

# ---- both IDEs, exec'd as the proxy does
docker exec -d "$container" sh -c 'exec code-server --auth none --disable-telemetry --disable-update-check --disable-workspace-trust --disable-getting-started-override --disable-proxy --bind-addr 0.0.0.0:8080 /home/user > /tmp/code-server.log 2>&1'
docker exec -d "$container" sh -c 'exec jupyter lab --no-browser --ServerApp.ip=0.0.0.0 --ServerApp.port=8888 --ServerApp.port_retries=0 --ServerApp.base_url=/jupyter/u/ --ServerApp.allow_remote_access=True --IdentityProvider.token= --ServerApp.password= > /tmp/jupyter.log 2>&1'
within 20 'code-server answers /healthz' 'curl -fsS localhost:8080/healthz | grep -q status'
within 20 'JupyterLab answers /api' 'curl -fsS localhost:8888/jupyter/u/api | grep -q version'
inside 'code-server serves its page and what the page loads' '
    page=$(curl -fsSL localhost:8080/) && grep -q workbench <<< "$page"
    base=$(grep -o "stable-[0-9a-f]*" <<< "$page" | head -1)
    curl -fsS "localhost:8080/$base/static/out/vs/code/browser/workbench/workbench.js" | grep -c monaco'
inside 'code-server'"'"'s terminal gives a shell with ll' '
    cd /opt/code-server/lib/node_modules/code-server/lib/vscode && /opt/node/bin/node -e "
        const t = require(\"node-pty\").spawn(\"bash\", [], {});
        let seen = \"\"; t.onData(d => { seen += d; if (/srv.*\/\r/.test(seen)) process.exit(0); });
        t.write(\"ll /\n\"); setTimeout(() => { console.log(seen); process.exit(1); }, 5000);"'
inside 'code-server'"'"'s search finds text' '
    mkdir -p ~/s && echo "a needle here" > ~/s/f
    rg=(/opt/code-server/lib/node_modules/code-server/lib/vscode/node_modules/@vscode/ripgrep-universal/bin/*/rg)
    "${rg[0]}" -q needle ~/s'
inside 'code-server'"'"'s native modules load' '
    cd /opt/code-server/lib/node_modules/code-server/lib/vscode/node_modules
    for m in @vscode/sqlite3 @vscode/spdlog @vscode/native-watchdog @parcel/watcher kerberos; do /opt/node/bin/node -e "require(\"./$m\")"; done'
inside 'code-server installs an extension from a file' '
    d=$(mktemp -d) && mkdir "$d/extension"
    printf "{\"name\":\"probe\",\"publisher\":\"v\",\"version\":\"1.0.0\",\"engines\":{\"vscode\":\"*\"}}" > "$d/extension/package.json"
    python -m zipfile -c "$d/p.vsix" "$d/extension"
    code-server --install-extension "$d/p.vsix" && code-server --list-extensions | grep -q v.probe'
inside 'code-server starts with the chat panel off' 'grep -q "disableAIFeatures.: true" ~/.local/share/code-server/User/settings.json'
inside 'JupyterLab asks no question about news' '
    page=$(curl -fsS localhost:8888/jupyter/u/lab) && grep -q "\"news\": {\"disabled\": true}" <<< "$page"'
inside 'a Jupyter terminal is a login shell with ll' 'python - <<EOF
import json, time, urllib.request as r, websocket
base = "localhost:8888/jupyter/u/"
jar = r.build_opener(r.HTTPCookieProcessor())
jar.open("http://" + base + "lab").read()
xsrf = next(c.value for p in jar.handlers if hasattr(p, "cookiejar") for c in p.cookiejar if c.name == "_xsrf")
q = r.Request("http://" + base + "api/terminals", b"{}", {"X-XSRFToken": xsrf, "Content-Type": "application/json"})
name = json.load(jar.open(q))["name"]
ws = websocket.create_connection(f"ws://{base}terminals/websocket/{name}", timeout=5)
ws.send(json.dumps(["stdin", "shopt -q login_shell && ll /\r"]))
seen, end = "", time.time() + 8
while "srv" not in seen:
    assert time.time() < end, seen
    m = json.loads(ws.recv())
    seen += m[1] if m[0] == "stdout" else ""
EOF'
printf '      both IDEs, no tab: %s\n' "$(docker stats --no-stream --format '{{.MemUsage}}, {{.PIDs}} processes and threads' "$container")"

# ---- the end
stop_at_once() {
    local start=${EPOCHREALTIME/./}
    docker stop "$container" > /dev/null
    local ms=$(((${EPOCHREALTIME/./} - start) / 1000))
    echo "      docker stop took $ms ms"
    printf '      docker stop took %s ms\n' "$ms" >&3
    ((ms < 2000))
}
exec 3>&1
check 'docker stop ends it at once' stop_at_once

printf '\n%d passed, %d failed\n' "$passed" "$failed"
((failed == 0))
