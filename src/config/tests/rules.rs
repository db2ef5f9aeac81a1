//! Every rule of every key, in a table: what is refused, and in which words.

use super::{SITE, read};

/// What is told of a good site's configuration with `more` at its end.
fn told(more: &str) -> String {
    match read(&format!("{SITE}{more}\n"), &[]) {
        Ok(_) => String::new(),
        Err(errors) => errors.to_string(),
    }
}

/// What is told of a site with `from` replaced by `to`.
fn told_with(from: &str, to: &str) -> String {
    assert!(SITE.contains(from), "{from}");
    let read = read(&SITE.replace(from, to), &[]);
    read.map_or_else(|errors| errors.to_string(), |_| String::new())
}

fn assert_rules(rules: &[(&str, &str)]) {
    for (more, words) in rules {
        let told = told(more);
        assert!(told.contains(words), "{more}\n{words:?} is not in: {told}");
        assert_eq!(told.is_empty(), words.is_empty(), "{more}: {told}");
    }
}

#[test]
fn the_terminal_keeps_its_name_while_it_is_there() {
    let app = "[apps.terminal]\ncommand = [\"ttyd\"]\nport = 7681\n";
    assert_rules(&[
        (app, "`apps.terminal` is the terminal's name"),
        (&format!("[terminal]\nenabled = false\n{app}"), ""),
        ("[terminal]\ntmux = false\n", ""),
    ]);
}

#[test]
fn origins_and_urls() {
    for (url, good) in [
        ("https://localhost:8443", true),
        ("HTTPS://IDE.example.org/", true),
        ("http://[::1]:8080", true),
        ("http://10.0.0.1", true),
        ("https://ide.example.org/x", false),
        ("https://ide.example.org?", false),
        ("https://ide.example.org#", false),
        ("https://ann@ide.example.org", false),
        ("https://ide.example.org:", false),
        ("https://ide.example.org:0", false),
        ("https://ide.example.org:99999", false),
        ("https://ide%2eexample.org", false),
        ("https://", false),
        ("https://[::g]", false),
        ("ftp://ide.example.org", false),
        ("ide.example.org", false),
        ("", false),
    ] {
        let told = told_with("https://IDE.example.org:443", url);
        assert_eq!(told.is_empty(), good, "{url}: {told}");
    }
    for (url, good) in [
        ("http://127.0.0.1:8000/open?site=1", true),
        ("https://www.example.org/open#here", false),
        ("/open", false),
        ("javascript:alert(1)", false),
        ("https:///open", false),
        ("https://www.example.org/a b", false),
    ] {
        let told = told_with("https://www.example.org/open", url);
        assert_eq!(told.is_empty(), good, "{url}: {told}");
    }
}

#[test]
fn an_origin_comes_out_as_browsers_write_it() {
    for (written, origin) in [
        ("HTTPS://IDE.Example.org:443/", "https://ide.example.org"),
        ("http://ide.example.org:443", "http://ide.example.org:443"),
        ("http://ide.example.org:080", "http://ide.example.org"),
        ("https://[0:0::1]:8443", "https://[::1]:8443"),
    ] {
        let text = SITE.replace("https://IDE.example.org:443", written);
        assert_eq!(read(&text, &[]).unwrap().site.origin, origin, "{written}");
    }
}

#[test]
fn listeners() {
    assert_rules(&[
        (
            "[listen]\nplain = [\"127.0.0.1:80\"]",
            "trusted proxies alone",
        ),
        (
            "[listen]\nhttp = [\"127.0.0.1:80\"]",
            "in `https` or `plain`",
        ),
        ("[listen]\nhttps = []", "in `https` or `plain`"),
        (
            "[listen]\nhttps = [\"localhost:443\"]",
            "an address and a port",
        ),
        ("[listen]\nhttps = [\"[::]:1\", \"[::]:1\"]", "[::]:1 twice"),
        (
            "[listen]\nhttps = \"[::]:1\"\n[ssh]\nlisten = \"[::]:1\"",
            "[::]:1 is to be listened on twice",
        ),
        (
            "[ssh]\nlisten = \"[::]:1\"\n[metrics]\nlisten = \"[::]:1\"",
            "[::]:1 is to be listened on twice",
        ),
        ("[listen]\ntrusted_proxies = [\"10.0.0.0/33\"]", "a network"),
        ("[listen]\ntrusted_proxies = [\"::/129\"]", "a network"),
        ("[listen]\ntrusted_proxies = [\"host\"]", "a network"),
        ("[listen]\nthreads = 0", "from 1 to"),
        ("[listen]\nthreads = 1.5", "a whole number"),
        ("[listen]\nthreads = \"2\"", "a whole number"),
        ("[listen]\nhttps = [\"[::]:0\", \"[::]:0\"]", ""),
    ]);
    assert!(told_with("cert = \"cert.pem\"", "").contains("`tls.cert` is missing"));
}

#[test]
fn sessions() {
    for (key, words) in [
        (
            r#"{ algorithm = "HS256", file = "short.key" }"#,
            "has 31 bytes; a shared secret has at least 32",
        ),
        (
            r#"{ algorithm = "HS256", file = "public.pem" }"#,
            "is a PEM file",
        ),
        (
            r#"{ algorithm = "RS256", file = "shared.key" }"#,
            "holds no key in PEM",
        ),
        (
            r#"{ algorithm = "RS256", file = "certificate.pem" }"#,
            "holds no key in PEM",
        ),
        (
            r#"{ algorithm = "EdDSA", file = "cut.pem" }"#,
            "holds no key in PEM",
        ),
        (
            r#"{ algorithm = "none", file = "shared.key" }"#,
            r#"one of "HS256", "RS256""#,
        ),
        (
            r#"{ algorithm = "HS256", file = "absent.key" }"#,
            "absent.key: can't be read",
        ),
        (
            r#"{ algorithm = "HS256", file = "/dev/zero" }"#,
            "too large",
        ),
        (
            r#"{ algorithm = "HS256" }"#,
            "`session.keys.file` is missing",
        ),
        (
            r#"{ file = "shared.key" }"#,
            "`session.keys.algorithm` is missing",
        ),
        (
            "\"shared.key\"",
            "must be a table with `algorithm` and `file`",
        ),
        ("", "needs at least one key"),
        (
            r#"{ algorithm = "HS256", file = "shared.key" }, { algorithm = "HS256", file = "shared.key" }"#,
            "told apart",
        ),
        (
            r#"{ algorithm = "HS256", file = "shared.key", id = "a" }, { algorithm = "EdDSA", file = "public.pem", id = "a" }"#,
            "told apart",
        ),
    ] {
        let told = told_with(r#"{ algorithm = "HS256", file = "shared.key" }"#, key);
        assert!(told.contains(words), "{key}\n{words:?} is not in: {told}");
    }
    let two = r#"{ algorithm = "HS256", file = "shared.key" }, { algorithm = "EdDSA", file = "public.pem" }"#;
    let told = told_with(r#"{ algorithm = "HS256", file = "shared.key" }"#, two);
    assert_eq!(told, "", "one of each algorithm needs no id");
    for (line, words) in [
        (
            "shared_cookie = \"__host-vestibule-session\"",
            "vestibule's own",
        ),
        ("shared_cookie = \"a b\"", "the name of a cookie"),
        ("audience = \" \"", "must not be empty"),
        ("issuer = 3", "text in quotes"),
        ("lifetime = \"59s\"", "from 1m to 30days"),
        ("lifetime = \"31d\"", "from 1m to 30days"),
        ("lifetime = 3600", "such as \"30m\", not 3600"),
        ("more = 1", "`session.more` is unknown"),
    ] {
        let told = told_with("[session]", &format!("[session]\n{line}"));
        assert!(told.contains(words), "{line}\n{words:?} is not in: {told}");
    }
}

#[test]
fn key_sets() {
    for url in [
        "http://www.example.org/keys",
        "http://127.0.0.1.example.org/",
        "http://10.0.0.1/keys",
        "ftp://localhost/keys",
        "https://www.example.org/#keys",
        "https://a:b@www.example.org/",
        "/keys.json",
    ] {
        let told = told_with("[session]", &format!("[session]\njwks_url = \"{url}\""));
        assert!(told.contains("must be an https URL"), "{url}: {told}");
    }
    for url in [
        "https://www.example.org/keys.json",
        "https://www.example.org:8443/keys?v=1",
        "http://localhost:8000/keys",
        "http://127.0.0.2/keys",
        "http://[::1]:80/",
    ] {
        let line = format!("[session]\njwks_url = \"{url}\"");
        assert_eq!(told_with("[session]", &line), "", "{url}");
        let alone = told_with("keys = [{ algorithm", &format!("jwks_url = \"{url}\"\n#"));
        assert_eq!(alone, "", "{url} needs no other keys");
    }
}

#[test]
fn workspaces() {
    assert_rules(&[
        ("[workspace]\nimage = \"a b\"", "must be an image"),
        ("[workspace]\nnetwork = \"a b\"", "must be a name"),
        ("[workspace]\nnetwork = \"host\"", "Docker's own network"),
        ("[workspace]\nisolation = \"off\"", r#""refuse", "warn""#),
        ("[workspace]\ncpus = 0", "CPUs"),
        ("[workspace]\ncpus = nan", "CPUs"),
        ("[workspace]\ncpus = 513", "CPUs"),
        ("[workspace]\nmemory = \"1m\"", "at least 64m"),
        ("[workspace]\nmemory = \"8 pounds\"", "at least 64m"),
        ("[workspace]\nmemory = \"99999999999999t\"", "at least 64m"),
        ("[workspace]\nmemory = -1", "at least 64m"),
        ("[workspace]\npids = 1", "from 16 to"),
        (
            "[workspace]\ncapabilities = [\"ALL\"]",
            "single capabilities",
        ),
        (
            "[workspace]\ncapabilities = [\"FOO\"]",
            "single capabilities",
        ),
        (
            "[workspace]\ncapabilities = [\"CAP_\"]",
            "single capabilities",
        ),
        ("[workspace]\nmax_starting = 0", "from 1 to"),
        ("[workspace]\npatience = \"21s\"", "from 0s to 20s"),
        ("[workspace]\nready_timeout = \"0s\"", "from 1s to 1h"),
        ("[workspace]\nstop_grace = \"0s\"", "from 1s to 10m"),
        (
            "[workspace]\nenv = { A = 1 }",
            "\"A\" must be text in quotes",
        ),
        ("[workspace]\nenv = { A = \"{other} ${B}\" }", ""),
        ("[engine]\ntimeout = \"0s\"", "from 1s to 10m"),
        ("[idle]\ntimeout = \"0s\"", "idle.timeout"),
        ("[idle]\ntimeout = 30", "such as \"30m\", not 30"),
        ("[idle]\nholds = []", "must name a clock"),
        (
            "[idle]\nholds = [\"inputs\"]",
            "\"connected\", \"input\", \"busy\"",
        ),
        ("[idle]\nbusy_cpu = 0", "from 0.001 to 512"),
        ("[idle]\nmax_age = \"soon\"", "idle.max_age"),
        ("[apps.jupyter]\nidle_holds = 3", "apps.jupyter.idle_holds"),
        ("[apps.jupyter]\ninput = [\"GET\"]", "a method and a path"),
        (
            "[apps.jupyter]\nnot_input = [\"get /a\"]",
            "a method and a path",
        ),
        (
            "[apps.jupyter]\nbusy_field = \"busy\"",
            "a field and its value",
        ),
        (
            "[apps.codespace]\nbusy_path = \"/busy\"",
            "must be set together",
        ),
        ("[limits]\nconnections = 0", "a whole number"),
        ("[limits]\nconnections_per_address = -1", "a whole number"),
        ("[log]\nformat = \"xml\"", "\"pretty\", \"json\""),
        ("[log]\nfilter = \"vestibule=loud\"", "must be a log filter"),
    ]);
}

#[test]
fn mounts() {
    for (target, words) in [
        ("/home", "would hide /home/user"),
        ("/", "would hide"),
        ("/home/./user//x/", "would hide"),
        ("/home/user", "would hide"),
        ("/opt/../home/user", "an absolute path"),
        ("shared", "an absolute path"),
        ("/home/users", ""),
        ("/a..b", ""),
    ] {
        let more = format!("[workspace]\nmounts = [{{ source = \"x\", target = \"{target}\" }}]");
        let told = told(&more);
        assert!(told.contains(words), "{target}: {told}");
        assert_eq!(told.is_empty(), words.is_empty(), "{target}: {told}");
    }
    let twice = "[[workspace.mounts]]\nsource = \"/x\"\ntarget = \"/t\"\n\
                 [[workspace.mounts]]\nsource = \"/y\"\ntarget = \"/t/\"\noptional = true\n";
    assert!(
        told(twice).contains("have the target \"/t\""),
        "{}",
        told(twice)
    );
}

#[test]
fn apps() {
    assert_rules(&[
        (
            "[apps.rstudio]\nport = 80",
            "`apps.rstudio.command` is missing",
        ),
        (
            "[apps.rstudio]\ncommand = [\"x\"]",
            "`apps.rstudio.port` is missing",
        ),
        (
            "[apps.Bad]\nport = 80\ncommand = [\"x\"]",
            "not an app name",
        ),
        (
            "[apps._vestibule]\nport = 80\ncommand = [\"x\"]",
            "not an app name",
        ),
        (
            "[apps.codespace]\nenabled = false\n[apps.jupyter]\nenabled = false",
            "no app",
        ),
        (
            "[apps.jupyter]\ncomand = [\"x\"]",
            "did you mean `command`?",
        ),
    ]);
    for (line, words) in [
        ("port = 0", "from 1 to 65535"),
        ("port = 8080", "the port of the app `codespace`"),
        ("command = []", "must name a program"),
        ("command = [\"\"]", "must name a program"),
        ("command = [\"{users}\"]", "holds {users}"),
        ("command = [\"{User} {} {0} {a: 1} {user\"]", ""),
        ("prefix = \"drop\"", r#""keep", "strip""#),
        ("title = \"\"", "must not be empty"),
        ("ready_path = \"y\"", "must be a path"),
        ("ready_path = \"/a b\"", "must be a path"),
        ("env = { A = \"{x}\" }", "holds {x}"),
        ("headers = { Host = \"y\" }", "proxy's own business"),
        ("headers = { Cookie = \"y\" }", "proxy's own business"),
        (
            "headers = { Content-Length = \"1\" }",
            "proxy's own business",
        ),
        ("headers = { Upgrade = \"y\" }", "proxy's own business"),
        ("headers = { X-Request-Id = \"y\" }", "proxy's own business"),
        (
            "headers = { X_Forwarded_For = \"y\" }",
            "proxy's own business",
        ),
        (
            "headers = { X-Forwarded-For = \"y\" }",
            "proxy's own business",
        ),
        ("headers = { a = \"b\\r\" }", "printable ASCII"),
        ("headers = { \"a b\" = \"c\" }", "no name of a header"),
        ("headers = { A = \"1\", a = \"2\" }", "holds `a` twice"),
        ("cookies = { __Host-vestibule-state = \"y\" }", "own cookie"),
        ("cookies = { \"a;\" = \"y\" }", "no name of a cookie"),
        ("cookies = { a = \"y;z\" }", "without spaces"),
        ("more = 1", "`apps.x.more` is unknown"),
    ] {
        let mut lines = vec!["[apps.x]", line];
        lines.extend((!line.starts_with("port")).then_some("port = 1"));
        lines.extend((!line.starts_with("command")).then_some("command = [\"x\"]"));
        let told = told(&lines.join("\n"));
        assert!(told.contains(words), "{line}\n{words:?} is not in: {told}");
        assert_eq!(told.is_empty(), words.is_empty(), "{line}: {told}");
    }
    let shared = SITE.replace("[session]", "[session]\nshared_cookie = \"site\"");
    let app = "[apps.x]\nport = 1\ncommand = [\"x\"]\ncookies = { site = \"y\" }\n";
    assert!(
        read(&format!("{shared}{app}"), &[]).is_err(),
        "the shared cookie is a session"
    );
}
