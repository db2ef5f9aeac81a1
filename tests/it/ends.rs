//! Sessions that end take with them what is open: sockets, streams, downloads (J8, W2).

use std::{collections::BTreeMap, fs, process::Output, time::Duration};

use futures_util::{SinkExt as _, StreamExt as _, stream};
use http::Method;
use http_body_util::BodyExt as _;
use serde_json::json;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{mpsc, watch},
    time::{Instant, timeout},
};
use tokio_tungstenite::{WebSocketStream, tungstenite::Message};

use crate::world::{
    World,
    config::RECORDER,
    keys::{HANDOFF, SESSION, handoff_claims, now, session_claims, with},
    person::SESSION_COOKIE,
    shared, until, within,
};

/// How long an end may take on a busy machine, the proxy built for debugging; where nothing is
/// in the way it takes half a second at most.
const SOON: Duration = Duration::from_secs(5);
/// What a Close says of a session that ended (RFC 6455 7.4.1).
const POLICY: u16 = 1008;

fn vestibule(world: &World, words: &[&str]) -> Output {
    let config = ["--config", "proxy.toml"];
    let mut command = world.vestibule();
    command.args(words).args(config).output().unwrap()
}

/// Revokes something by the command line.
fn revoke(world: &World, words: &[&str]) {
    let output = vestibule(world, &[&["revoke"], words].concat());
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words:?}: {complaint}");
}

/// The code of the Close that a socket ends with; 0 if it ends without.
async fn close_code<S>(socket: &mut WebSocketStream<S>) -> u16
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut code = 0;
    while let Some(Ok(message)) = socket.next().await {
        if let Message::Close(Some(frame)) = message {
            code = frame.code.into();
        }
    }
    code
}

/// Sends a text and waits for it to come back.
async fn echoes<S>(socket: &mut WebSocketStream<S>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    socket.send("still there".into()).await.unwrap();
    let echo = within("an echo", SOON, socket.next()).await;
    assert_eq!(echo.unwrap().unwrap().into_text().unwrap(), "still there");
}

/// What a socket of a session has to say.
#[derive(Debug)]
enum Said {
    Ended(usize, u16, Instant),
    Echoed(usize),
}

/// Reads a socket to its end, and has it echo when asked to.
async fn follow(
    session: usize,
    mut socket: crate::world::socket::Socket,
    mut ask: watch::Receiver<bool>,
    say: mpsc::UnboundedSender<Said>,
) {
    let asked = async { ask.wait_for(|asked| *asked).await.is_ok() };
    let code = tokio::select! {
        code = close_code(&mut socket) => code,
        _ = asked => {
            echoes(&mut socket).await;
            let _ = say.send(Said::Echoed(session));
            return;
        }
    };
    let _ = say.send(Said::Ended(session, code, Instant::now()));
}

/// Waits until `sockets` sockets have ended; asserts that they are those of `expected`, each
/// with a Close, and that no other follows.
async fn end(said: &mut mpsc::UnboundedReceiver<Said>, expected: &[usize], sockets: usize) {
    let began = Instant::now();
    let (mut ended, mut last) = (BTreeMap::new(), Duration::ZERO);
    for _ in 0..expected.len() * sockets {
        let Said::Ended(session, code, at) =
            within("sockets end", SOON, said.recv()).await.unwrap()
        else {
            panic!("nobody was asked yet");
        };
        assert_eq!(code, POLICY, "session {session}");
        *ended.entry(session).or_insert(0) += 1;
        last = last.max(at.saturating_duration_since(began));
    }
    let all: BTreeMap<usize, usize> = expected.iter().map(|session| (*session, sockets)).collect();
    assert_eq!(ended, all);
    println!("{} sockets ended within {last:?}", expected.len() * sockets);
    let more = timeout(Duration::from_millis(300), said.recv()).await;
    assert!(more.is_err(), "too many ended: {more:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_thousand_sockets_exactly_those_of_the_session_that_ended_end() {
    const SESSIONS: usize = 20;
    const SOCKETS: usize = 50;
    let limits = "[limits]\nconnections_per_address = 5000";
    let world = World::start(&format!("{limits}\n{RECORDER}")).await;
    for user in [&world.alice, &world.bob] {
        world.log_in(user).await.open("recorder").await;
    }
    // Alice has the even sessions, bob the odd ones.
    let user = |session: usize| {
        if session.is_multiple_of(2) {
            &world.alice
        } else {
            &world.bob
        }
    };
    let token = |session: usize, end: u64| {
        let ids =
            json!({ "sid": format!("s-{session}"), "jti": format!("t-{session}"), "exp": end });
        let claims = with(session_claims(user(session)), &ids);
        let token = world.keys.sign(SESSION, &claims);
        world.secret(&token);
        format!("Bearer {token}")
    };
    let (say, mut said) = mpsc::unbounded_channel();
    let ask = watch::Sender::new(false);
    let open = async |session: usize, authorization: &str| {
        let path = format!("/recorder/{}/ws", user(session));
        let sockets = stream::iter(0..SOCKETS).map(|_| async {
            let fields = [("authorization", authorization)];
            world.socket(&path, &fields).await.unwrap().0
        });
        let mut sockets = sockets.buffer_unordered(16);
        while let Some(socket) = sockets.next().await {
            tokio::spawn(follow(session, socket, ask.subscribe(), say.clone()));
        }
    };
    for session in 0..SESSIONS - 1 {
        open(session, &token(session, now() + 3600)).await;
    }
    // The last one ends by itself, once all its sockets are open.
    let end_of_last = now() + 20;
    let last = SESSIONS - 1;
    open(last, &token(last, end_of_last)).await;
    assert!(now() < end_of_last, "the machine is too slow for this");

    revoke(&world, &["--session", "s-3"]);
    end(&mut said, &[3], SOCKETS).await;
    revoke(&world, &["--token", "t-4"]);
    end(&mut said, &[4], SOCKETS).await;
    let logout = world.call(Method::POST, "/_vestibule/logout").fetch();
    let logout = logout.header("authorization", token(6, now() + 3600));
    assert_eq!(logout.send().await.status, 303);
    end(&mut said, &[6], SOCKETS).await;
    until("the last session has ended", SOON * 10, async || {
        now() >= end_of_last
    })
    .await;
    end(&mut said, &[last], SOCKETS).await;
    revoke(&world, &[&world.bob]);
    let bobs: Vec<usize> = (1..last)
        .step_by(2)
        .filter(|session| *session != 3)
        .collect();
    end(&mut said, &bobs, SOCKETS).await;

    ask.send_replace(true);
    let alices = (0..last)
        .step_by(2)
        .filter(|session| ![4, 6].contains(session));
    for _ in 0..alices.clone().count() * SOCKETS {
        let next = within("the others echo", SOON * 4, said.recv())
            .await
            .unwrap();
        let alive = matches!(next, Said::Echoed(session) if alices.clone().any(|a| a == session));
        assert!(alive, "{next:?}");
    }
    assert!(
        world.arrived(&world.bob, "closed 1008"),
        "the app is told, too"
    );
    assert_eq!(world.audit("session_end").len(), 1);
    assert_eq!(world.audit("revoke").len(), 3);
}

#[tokio::test]
async fn logging_out_ends_all_that_is_open_and_every_copy_of_the_cookie() {
    let world = shared().await;
    let person = world.log_in(&world.alice).await;
    let elsewhere = world.log_in(&world.alice).await;
    let own = [
        ("cookie", person.cookie.as_str()),
        ("origin", &world.origin),
    ];
    let path = person.path("recorder", "ws");
    let (mut socket, _) = world.socket(&path, &own).await.unwrap();
    let mut socket_h2 = world.socket_h2(&path, &own).await;
    let (mut other, _) = elsewhere.socket(&path, &[]).await.unwrap();
    echoes(&mut socket).await;
    echoes(&mut socket_h2).await;
    let name = vestibule::secret::random_id();
    let events = person.fetch(&person.path("recorder", &format!("events?name={name}")));
    let mut events = events.open().await.unwrap().into_body();
    let first = events.frame().await.unwrap().unwrap();
    assert_eq!(first.into_data().unwrap(), "data: first\n\n");
    let zeros = person.path("recorder", "zeros?bytes=1000000000000");
    let mut zeros = person.fetch(&zeros).open().await.unwrap().into_body();
    zeros.frame().await.unwrap().unwrap();

    let logout = person.call(Method::POST, "/_vestibule/logout").fetch();
    assert_eq!(logout.send().await.status, 303);
    let code = within("the socket ends", SOON, close_code(&mut socket)).await;
    assert_eq!(code, POLICY);
    let code = within("over HTTP/2, too", SOON, close_code(&mut socket_h2)).await;
    assert_eq!(code, POLICY);
    let ended = within("the stream ends", SOON, events.frame()).await;
    assert!(ended.unwrap().is_err(), "and does not look whole");
    within("the download breaks off", SOON, async {
        while let Some(Ok(_)) = zeros.frame().await {}
    })
    .await;
    let copy = person.fetch(&person.path("recorder", "")).send().await;
    assert_eq!(copy.status, 401);
    assert_eq!(
        person
            .visit(&person.path("recorder", ""))
            .send()
            .await
            .status,
        303
    );
    echoes(&mut other).await;
}

#[tokio::test]
async fn a_session_ends_when_its_token_says_so() {
    let world = shared().await;
    let claims = with(session_claims(&world.alice), &json!({ "exp": now() + 3 }));
    let token = world.keys.sign(SESSION, &claims);
    world.secret(&token);
    let path = format!("/recorder/{}/ws?w2", world.alice);
    let bearer = format!("Bearer {token}");
    let (mut socket, _) = world
        .socket(&path, &[("authorization", &bearer)])
        .await
        .unwrap();
    echoes(&mut socket).await;
    let code = within("the session ends", SOON * 2, close_code(&mut socket)).await;
    assert_eq!(code, POLICY);
    let answer = world.get(&path).bearer(&token).send().await;
    assert_eq!(answer.status, 401);
}

#[tokio::test]
async fn who_is_revoked_and_still_known_to_the_site_logs_in_again_at_once() {
    let world = shared().await;
    let carol = world.user("carol");
    let person = world.log_in(&carol).await;
    let under_way = world.visitor("/").await;
    revoke(&world, &[&carol]);
    assert_eq!(person.fetch("/").send().await.status, 401);
    // The login that was under way is begun again, with nothing to type.
    let token = world
        .keys
        .sign(HANDOFF, &handoff_claims(&carol, &under_way.state));
    let again = world.callback(&under_way, &token, "/").send().await;
    assert_eq!(again.status, 303);
    assert_eq!(again.cookie(SESSION_COOKIE), None);
    assert!(again.header("location").contains("state="));
    // In the same second, and with the same browser.
    let person = world.log_in(&carol).await;
    assert_eq!(person.visit("/").send().await.status, 200);
}

#[tokio::test]
async fn a_revocation_outlives_a_restart_and_nobody_is_served_without_it() {
    let world = World::start(RECORDER).await;
    let person = world.log_in(&world.alice).await;
    let unseen = world.keys.session(&world.alice);
    let other = world.log_in(&world.bob).await;
    revoke(&world, &[&world.alice]);
    for signal in ["TERM", "KILL"] {
        world.end(signal).await;
        world.launch().await;
        assert_eq!(person.visit("/").send().await.status, 303);
        assert_eq!(world.get("/").bearer(&unseen).send().await.status, 401);
        assert_eq!(other.visit("/").send().await.status, 200);
        let back = world.log_in(&world.alice).await;
        assert_eq!(back.visit("/").send().await.status, 200);
    }
    world.end("TERM").await;
    let file = world.dir.join("state/revocations.json");
    let whole = fs::read(&file).unwrap();
    fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    let output = vestibule(&world, &["serve"]);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(
        complaint.contains("revocations.json is damaged"),
        "{complaint}"
    );
}
