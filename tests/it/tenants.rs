//! Users are strangers to each other, and so are other sites.

use http::Method;

use crate::world::{Answer, SLOW, World, docker::container_of, shared, until};

/// What an answer tells, without what is different each time.
fn told(answer: &Answer, user: &str) -> String {
    let mut text = answer.text().replace(user, "<user>");
    let id = answer.header("x-request-id");
    if !id.is_empty() {
        text = text.replace(id, "<id>");
    }
    if let Ok(json) = serde_json::from_str::<serde_json::Value>(&text) {
        return format!("{} {} {}", json["status"], json["title"], json["detail"]);
    }
    // The page shows an id of the refusal.
    let mut lines: Vec<&str> = text.lines().collect();
    lines.retain(|line| !line.contains("<code"));
    lines.join("\n")
}

#[tokio::test]
async fn anothers_workspace_is_forbidden_whether_it_exists_or_not() {
    let world = shared().await;
    let alice = world.log_in(&world.alice).await;
    let ghost = world.user("ghost");
    for method in [
        Method::GET,
        Method::HEAD,
        Method::OPTIONS,
        Method::POST,
        Method::DELETE,
    ] {
        let mut seen = Vec::new();
        for user in [&world.bob, &ghost] {
            for app in ["recorder", "codespace", "jupyter"] {
                let path = format!("/{app}/{user}/mark-stranger");
                let answer = alice.call(method.clone(), &path).fetch().send().await;
                assert_eq!(answer.status, 403, "{method} {path}");
                seen.push(told(&answer, user));
            }
        }
        seen.dedup();
        assert_eq!(seen.len(), 1, "{method}: {seen:?}");
    }
    let mut pages = Vec::new();
    for user in [&world.bob, &ghost] {
        let answer = alice
            .visit(&format!("/recorder/{user}/mark-stranger"))
            .send()
            .await;
        assert!(answer.status == 403 && answer.is_page());
        pages.push(told(&answer, user));
    }
    assert_eq!(pages[0], pages[1]);
    assert!(!world.arrived(&world.bob, "mark-stranger"));
    assert_eq!(world.docker.id(&container_of(&ghost)), None);
    let progress = format!("/_vestibule/progress/recorder/{}/", world.bob);
    assert_eq!(alice.fetch(&progress).send().await.status, 403);
}

#[tokio::test]
async fn another_site_may_link_here_and_nothing_else() {
    let world = shared().await;
    let person = world.log_in(&world.alice).await;
    let path = person.path("recorder", "mark-cross");
    let from = |method: Method, site: &str, mode: &str, dest: &str| {
        person
            .call(method, &path)
            .header("sec-fetch-site", site)
            .header("sec-fetch-mode", mode)
            .header("sec-fetch-dest", dest)
            .header("accept", "text/html")
    };
    for site in ["cross-site", "same-site"] {
        for (method, mode, dest, origin) in [
            (Method::GET, "cors", "empty", Some("https://evil.test")),
            (Method::GET, "no-cors", "empty", None),
            (Method::GET, "no-cors", "image", None),
            (Method::GET, "no-cors", "script", None),
            (Method::GET, "navigate", "iframe", None),
            (Method::GET, "navigate", "embed", None),
            (
                Method::POST,
                "navigate",
                "document",
                Some("https://evil.test"),
            ),
            (Method::POST, "navigate", "document", None),
            (Method::DELETE, "cors", "empty", Some("null")),
        ] {
            let call = from(method.clone(), site, mode, dest);
            let call = match origin {
                Some(origin) => call.header("origin", origin),
                None => call,
            };
            let status = call.send().await.status;
            assert_eq!(status, 403, "{method} {site} {mode} {dest} {origin:?}");
        }
    }
    assert!(!world.arrived(&world.alice, "mark-cross"));
    let link = from(Method::GET, "cross-site", "navigate", "document")
        .send()
        .await;
    assert_eq!(link.status, 200);
}

/// What a Python in the container could reach of `address:port`.
fn reach(world: &World, container: &str, address: &str, port: u16) -> Result<String, String> {
    let line = format!(
        "python3 -c \"import socket; socket.create_connection(('{address}', {port}), 2); print('open')\""
    );
    world.docker.shell(container, &line)
}

#[tokio::test]
async fn a_container_reaches_neither_its_neighbour_nor_the_house() {
    let world = shared().await;
    let (alice, bob) = (container_of(&world.alice), container_of(&world.bob));
    let field = "range .NetworkSettings.Networks}}{{.IPAddress}} {{.Gateway}} {{end";
    let addresses = world.docker.look(&alice, field).unwrap();
    let mut words = addresses.split_whitespace();
    let (neighbour, gateway) = (words.next().unwrap(), words.next().unwrap());
    let apps = world.log_in(&world.alice).await;
    apps.open("recorder").await;
    assert_eq!(
        reach(&world, &alice, "127.0.0.1", 9000).as_deref(),
        Ok("open"),
        "the probe works"
    );
    let https = world.https.port();
    for (address, port) in [
        (neighbour, 9000),
        (neighbour, 8080),
        (neighbour, 8888),
        (gateway, https),
        ("127.0.0.1", https),
        ("169.254.169.254", 80),
    ] {
        if address.starts_with("169.254.") && !crate::world::is_root() {
            eprintln!(
                "not looked at without root: {address}, which a rule of the firewall refuses"
            );
            continue;
        }
        let got = reach(&world, &bob, address, port);
        assert!(got.is_err(), "{address}:{port} is open to bob");
    }
    assert!(world.docker.shell(&bob, "ls /var/run/docker.sock").is_err());
    assert!(world.docker.shell(&bob, "test \"$(id -u)\" = 1000").is_ok());
}

#[tokio::test]
async fn a_container_is_held_to_its_limits() {
    let world = shared().await;
    let container = container_of(&world.alice);
    for (field, value) in [
        (".HostConfig.Memory", "8589934592"),
        (".HostConfig.CpuQuota", "200000"),
        (".HostConfig.CpuPeriod", "100000"),
        (".HostConfig.Privileged", "false"),
        (".HostConfig.SecurityOpt", "[no-new-privileges]"),
        (".Config.OpenStdin", "true"),
        (".Config.Tty", "true"),
    ] {
        let got = world.docker.look(&container, field).unwrap();
        assert_eq!(got.replace(":true", ""), value, "{field}");
    }
    let capabilities = world
        .docker
        .look(&container, ".HostConfig.CapDrop")
        .unwrap();
    assert!(
        capabilities.to_uppercase().contains("ALL"),
        "{capabilities}"
    );
    let environment = world.docker.look(&container, ".Config.Env").unwrap();
    assert!(
        environment.contains(&format!("USERNAME={}", world.alice)),
        "{environment}"
    );
    let label = world
        .docker
        .look(&container, "index .Config.Labels \"vestibule.user\"");
    assert_eq!(label.as_deref(), Some(world.alice.as_str()));
}

#[tokio::test]
async fn a_foreign_container_of_our_name_is_left_alone() {
    let world = shared().await;
    let person = world.log_in(&world.user("squatted")).await;
    let container = container_of(&person.name);
    world.docker.run(&[
        "create",
        "--name",
        &container,
        "vestibule-workspace:slim",
        "sleep",
        "99",
    ]);
    let id = world.docker.id(&container);
    let path = person.path("recorder", "");
    until("the page says why", SLOW, async || {
        let page = person.visit(&path).send().await;
        assert!(page.is_page());
        page.status.is_server_error() && page.text().contains(&container)
    })
    .await;
    assert_eq!(world.docker.id(&container), id);
    assert!(!world.docker.runs(&container));
    world.docker.run(&["rm", &container]);
    person.open("recorder").await;
}

#[tokio::test]
async fn names_that_look_alike_are_different_workspaces() {
    let world = shared().await;
    let names = ["a.b", "a-b", "a_b", "a-2d-b", "A-B"];
    let mut ids = Vec::new();
    for name in names {
        let person = world.log_in(&format!("{name}-{}", world.id)).await;
        let path = person.path("recorder", "");
        let answer = person.open("recorder").await;
        assert_eq!(answer.status, 200, "{path}");
        ids.push(world.docker.id(&container_of(&person.name)).unwrap());
        assert!(world.home(&person.name).is_dir());
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), names.len());
}
