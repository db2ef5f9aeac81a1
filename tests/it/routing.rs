//! Paths that try to be somewhere else.

use crate::world::{raw, shared};

#[tokio::test]
async fn a_path_can_not_climb_into_another_workspace() {
    let world = shared().await;
    let (alice, bob) = (&world.alice, &world.bob);
    let token = world.keys.session(alice);
    let climbs = [
        format!("/recorder/{alice}%2e%2e/mark-climb"),
        format!("/recorder/{alice}/..%2f{bob}/mark-climb"),
        format!("/recorder/{alice}/%2e%2e/{bob}/mark-climb"),
        format!("/recorder/{alice}/%252e%252e/{bob}/mark-climb"),
        format!("/recorder/{alice}/../{bob}/mark-climb"),
        format!("/recorder/{alice}/..\\{bob}/mark-climb"),
        format!("/recorder/{alice}/%5c..%5c{bob}/mark-climb"),
        format!("/recorder/{alice}/./../{bob}/mark-climb"),
        format!("/recorder/{alice}%00/mark-climb"),
        format!("/recorder/{alice}%2f{bob}/mark-climb"),
        format!("/recorder/{bob}/mark-climb"),
        format!("//recorder/{bob}/mark-climb"),
        format!("/recorder//{bob}/mark-climb"),
    ];
    for path in climbs {
        let head = format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n",
            world.authority()
        );
        let status = world.raw(head).await.status();
        assert!([400, 403, 404].contains(&status), "{path}: {status}");
    }
    assert!(!world.arrived(bob, "mark-climb"));
}

#[tokio::test]
async fn a_name_is_spelled_as_it_is_or_leads_nowhere() {
    let world = shared().await;
    let alice = &world.alice;
    let token = world.keys.session(alice);
    let status = async |user: &str| {
        let path = format!("/recorder/{user}/");
        world.get(&path).bearer(&token).send().await.status.as_u16()
    };
    let long = "x".repeat(65);
    let capital = alice.replace('a', "A");
    let dotted = format!("{alice}.");
    for name in [
        capital.as_str(),
        &dotted,
        &long,
        ".",
        "..",
        "",
        "a b",
        "é",
        "%",
        "%zz",
        "%ff",
    ] {
        let path: String = name.replace(' ', "%20").replace('é', "%c3%a9");
        let status = status(&path).await;
        assert!([400, 403, 404].contains(&status), "{name}: {status}");
    }
    let escaped = alice.replacen('a', "%61", 1);
    assert_eq!(status(&escaped).await, 200, "decoded once, it is alice");
}

#[tokio::test]
async fn an_address_without_its_slash_is_given_one() {
    let world = shared().await;
    let path = format!("/recorder/{}", world.alice);
    let answer = world.get(&format!("{path}?a=b")).navigate().send().await;
    assert_eq!(answer.status, 308);
    assert_eq!(answer.header("location"), format!("{path}/?a=b"));
}

#[tokio::test]
async fn an_absolute_target_of_another_host_is_refused() {
    let world = shared().await;
    let path = format!("/recorder/{}/mark-absolute", world.alice);
    let (host, token) = (world.authority(), world.keys.session(&world.alice));
    for (target, statuses) in [
        (format!("http://evil{path}"), [400, 421]),
        (format!("https://evil{path}"), [400, 421]),
        (format!("https://{host}@evil{path}"), [400, 421]),
    ] {
        let head = format!(
            "GET {target} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
        );
        let status = world.raw(head).await.status();
        assert!(statuses.contains(&status), "{target}: {status}");
    }
    for head in [
        "CONNECT evil:443 HTTP/1.1\r\nHost: evil:443\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
    ] {
        let status = world.raw(head).await.status();
        assert!((400..500).contains(&status), "{head}: {status}");
    }
    assert!(!world.arrived(&world.alice, "mark-absolute"));
}

#[tokio::test]
async fn what_follows_the_prefix_arrives_as_it_was_written() {
    let world = shared().await;
    let token = world.keys.session(&world.alice);
    for rest in [
        "",
        "a/b?c=d&e=%2F",
        "%41%7e~a%2Fb",
        "a//b",
        "x;y=1,2",
        "a+b%20c",
        "%E2%82%AC",
    ] {
        for (app, prefix) in [
            ("recorder", String::new()),
            ("keeper", format!("/keeper/{}", world.alice)),
        ] {
            let path = format!("/{app}/{}/{rest}", world.alice);
            if app == "keeper" {
                world.log_in(&world.alice).await.open("keeper").await;
            }
            let answer = world.get(&path).bearer(&token).send().await;
            assert_eq!(answer.status, 200, "{path}");
            let head = answer.json()["head"].as_str().unwrap().to_owned();
            let line = head.lines().next().unwrap().to_owned();
            assert_eq!(line, format!("GET {prefix}/{rest} HTTP/1.1"));
        }
    }
}

#[tokio::test]
async fn a_redirect_of_the_app_stays_under_its_prefix() {
    let world = shared().await;
    let token = world.keys.session(&world.alice);
    let prefix = format!("/recorder/{}", world.alice);
    let origin = &world.origin;
    for (to, location) in [
        ("/login", format!("{prefix}/login")),
        ("next", "next".to_owned()),
        ("./?a=b", "./?a=b".to_owned()),
        (
            &format!("{origin}/login"),
            format!("{origin}{prefix}/login"),
        ),
        (
            "https://elsewhere.test/x",
            "https://elsewhere.test/x".to_owned(),
        ),
    ] {
        let path = format!("{prefix}/redirect?to={to}");
        let answer = world.get(&path).bearer(&token).send().await;
        assert_eq!(answer.status, 302);
        let got = answer.header("location").to_owned();
        let same = got == location || got == location.trim_start_matches(origin.as_str());
        assert!(same, "{to} became {got}");
    }
}

#[tokio::test]
async fn health_and_unknown_pages_say_little() {
    let world = shared().await;
    let health = world.get("/_vestibule/healthz").send().await;
    assert!(
        health.status == 200 && health.body.len() < 20,
        "{}",
        health.text()
    );
    for path in [
        "/nowhere",
        "/_vestibule/",
        "/_vestibule/nothing",
        "/recorder/",
        "/recorder",
    ] {
        assert_eq!(world.get(path).send().await.status, 404, "{path}");
    }
    let answer = raw::plain(world.https, "GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(
        !answer.text().contains("200 OK"),
        "no plain HTTP on the HTTPS port"
    );
}
