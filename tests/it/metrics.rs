//! What Prometheus is told: scraped from the real thing after real traffic, judged by promtool,
//! and asked every question of the dashboard by a real Prometheus.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Write as _,
    net::SocketAddr,
    path::PathBuf,
    process::{Command, Stdio},
};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use crate::world::{SLOW, World, config::RECORDER, until};

/// A program of Debian's `prometheus` package.
fn tool(name: &str) -> PathBuf {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let path = root.join("target/tools/prometheus/usr/bin").join(name);
    assert!(path.is_file(), "no {name}; run tests/setup.sh prometheus");
    path
}

/// A GET over plain HTTP.
async fn get(addr: SocketAddr, path: &str) -> (u16, String) {
    let stream = TcpStream::connect(addr).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    let request = http::Request::get(path).header("host", addr.to_string());
    let request = request.body(Empty::<Bytes>::new()).unwrap();
    let answer = sender.send_request(request).await.unwrap();
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

/// The value of a series, written as Prometheus writes it.
fn value(scrape: &str, series: &str) -> f64 {
    let line = scrape
        .lines()
        .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    let line = line.unwrap_or_else(|| panic!("no {series} in\n{scrape}"));
    line.parse().unwrap()
}

/// A world that is scraped, in which everything has happened that is counted.
async fn busy_world(metrics: SocketAddr) -> World {
    let extra = format!("[metrics]\nlisten = \"{metrics}\"\nusage = \"each\"\n{RECORDER}");
    let world = World::start(&extra).await;
    let alice = world.log_in(&world.alice).await;
    alice.open("recorder").await;
    for _ in 0..3 {
        assert_eq!(
            alice.fetch(&alice.path("recorder", "")).send().await.status,
            200
        );
    }
    assert_eq!(
        world.get(&alice.path("recorder", "")).send().await.status,
        401
    );
    let others = format!("/recorder/{}/", world.bob);
    assert_eq!(alice.fetch(&others).send().await.status, 403);
    let bob = world.log_in(&world.bob).await;
    bob.open("recorder").await;
    let stopped = bob.fetch("/_vestibule/stop");
    assert_eq!(stopped.send().await.status, 405, "only by POST");
    let stop = bob.call(http::Method::POST, "/_vestibule/stop");
    let stop = stop.header("origin", world.origin.clone());
    assert_eq!(stop.send().await.status, 303);
    world
}

#[tokio::test]
async fn prometheus_is_told_what_happened_and_understands_all_of_it() {
    let metrics = crate::world::free_address();
    let world = busy_world(metrics).await;
    let alice = world.log_in(&world.alice).await;
    let (socket, _) = alice
        .socket(&alice.path("recorder", "ws"), &[])
        .await
        .unwrap();
    let mut scrape = String::new();
    until("the workspaces are measured", SLOW, async || {
        scrape = get(metrics, "/metrics").await.1;
        scrape.contains(&format!(
            "vestibule_workspace_disk_bytes{{user=\"{}\"}}",
            world.bob
        )) && scrape.contains(&format!(
            "vestibule_workspace_memory_bytes{{user=\"{}\"}}",
            world.alice
        ))
    })
    .await;
    assert!(
        value(
            &scrape,
            r#"vestibule_requests_total{app="recorder",code="200"}"#
        ) >= 4.0
    );
    for (series, expected) in [
        (
            r#"vestibule_requests_total{app="recorder",code="101"}"#,
            1.0,
        ),
        (
            r#"vestibule_requests_total{app="recorder",code="401"}"#,
            1.0,
        ),
        (
            r#"vestibule_requests_total{app="recorder",code="403"}"#,
            1.0,
        ),
        (r#"vestibule_workspaces{state="running"}"#, 1.0),
        (r#"vestibule_workspaces{state="stopped"}"#, 1.0),
        (r#"vestibule_starts_total{outcome="ok"}"#, 2.0),
        (r#"vestibule_start_step_seconds_count{step="ready"}"#, 2.0),
        (r#"vestibule_stops_total{reason="user"}"#, 1.0),
        (r#"vestibule_auth_denied_total{reason="no_session"}"#, 1.0),
        (r#"vestibule_auth_denied_total{reason="not_owner"}"#, 1.0),
        (r#"vestibule_auth_logins_total{outcome="ok"}"#, 3.0),
        ("vestibule_sockets_open", 1.0),
    ] {
        assert!(
            (value(&scrape, series) - expected).abs() < 0.01,
            "{series} in\n{scrape}"
        );
    }
    for series in [
        "vestibule_received_bytes_total",
        "vestibule_sent_bytes_total",
        "vestibule_connections_open",
        "vestibule_request_added_seconds_sum",
        "vestibule_workspaces_cpu_seconds_total",
        "vestibule_workspaces_memory_bytes",
        "vestibule_workspaces_disk_bytes",
        r#"vestibule_thread_busy_seconds_total{thread="serve-0"}"#,
    ] {
        assert!(value(&scrape, series) > 0.0, "{series} in\n{scrape}");
    }
    drop(socket);
    world.assert_no_secret_in("a scrape", &scrape);
    promtool_is_content(&scrape);
    assert_eq!(get(metrics, "/").await.0, 404);

    let dashboard = dashboard();
    every_metric_is_shown_and_told(&scrape, &dashboard);
    prometheus_answers(&world, metrics, &dashboard).await;
}

fn promtool_is_content(scrape: &str) {
    let mut promtool = Command::new(tool("promtool"))
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    promtool
        .stdin
        .take()
        .unwrap()
        .write_all(scrape.as_bytes())
        .unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(
        output.status.success() && said.is_empty(),
        "{said}\n{scrape}"
    );
}

/// The queries of docs/grafana.json, by panel, with the dashboard's variables filled in.
fn dashboard() -> Vec<(String, String)> {
    let text = include_str!("../../docs/grafana.json");
    let dashboard: Value = serde_json::from_str(text).unwrap();
    let mut queries = Vec::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        let title = panel["title"].as_str().unwrap();
        for target in panel["targets"].as_array().into_iter().flatten() {
            let query = target["expr"].as_str().unwrap();
            queries.push((title.to_owned(), query.replace("$__rate_interval", "1m")));
        }
    }
    assert!(queries.len() > 10);
    queries
}

/// The names of our metrics in a text, without the endings of a histogram's series.
fn names(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let ours = words.filter(|word| word.starts_with("vestibule_"));
    let base = |word: &str| {
        let ends = ["_bucket", "_sum", "_count"];
        let base = ends.iter().find_map(|end| word.strip_suffix(end));
        base.unwrap_or(word).to_owned()
    };
    ours.map(base).collect()
}

/// The dashboard asks for nothing that isn't there, and the documentation tells of all that is.
fn every_metric_is_shown_and_told(scrape: &str, dashboard: &[(String, String)]) {
    let samples = scrape.lines().filter(|line| line.starts_with("# TYPE "));
    let there: BTreeSet<String> = samples.flat_map(names).collect();
    for (panel, query) in dashboard {
        for name in names(query) {
            assert!(there.contains(&name), "{panel}: there is no {name}");
        }
    }
    let told = names(include_str!("../../docs/metrics.md"));
    assert_eq!(told, there, "docs/metrics.md and a scrape");
}

/// A real Prometheus scrapes us, and has an answer to every query of the dashboard.
async fn prometheus_answers(world: &World, metrics: SocketAddr, dashboard: &[(String, String)]) {
    let folder = world.dir.join("prometheus");
    fs::create_dir(&folder).unwrap();
    let config = format!(
        "global: {{scrape_interval: 1s}}\nscrape_configs:\n\
         - {{job_name: vestibule, static_configs: [{{targets: ['{metrics}']}}]}}\n"
    );
    fs::write(folder.join("prometheus.yml"), config).unwrap();
    let addr = crate::world::free_address();
    let log = fs::File::create(folder.join("log")).unwrap();
    let mut prometheus = Command::new(tool("prometheus"));
    prometheus
        .arg("--config.file=prometheus.yml")
        .arg(format!("--web.listen-address={addr}"))
        .current_dir(&folder)
        .stdout(Stdio::null())
        .stderr(log);
    world.child(prometheus.spawn().unwrap());
    until("Prometheus listens", SLOW, async || {
        TcpStream::connect(addr).await.is_ok()
    })
    .await;
    let mut silent: BTreeMap<&str, &str> = BTreeMap::new();
    let queries = dashboard
        .iter()
        .map(|(panel, query)| (query.as_str(), panel.as_str()));
    silent.extend(queries);
    until("every query has an answer", SLOW, async || {
        let mut still = BTreeMap::new();
        for (query, panel) in &silent {
            let query_value =
                percent_encoding::utf8_percent_encode(query, percent_encoding::NON_ALPHANUMERIC);
            let (status, text) = get(addr, &format!("/api/v1/query?query={query_value}")).await;
            assert!(status == 200 || status == 503, "{panel}: {query}: {text}");
            let found = serde_json::from_str::<Value>(&text).is_ok_and(|answer| {
                let rows = answer["data"]["result"].as_array();
                rows.is_some_and(|rows| !rows.is_empty())
            });
            if !found {
                still.insert(*query, *panel);
            }
        }
        silent = still;
        silent.is_empty()
    })
    .await;
}
