//! The terminal in the browser, as its page uses it: shells in the real container.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use http::Method;
use serde_json::json;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};
use tokio_tungstenite::{WebSocketStream, tungstenite::Message};
use vestibule::workspace::Kind;

use crate::{
    browser::explain,
    world::{
        Person, SLOW, World,
        docker::container_of,
        keys::{SESSION, session_claims, with},
        until, within,
    },
};

/// How long an end may take on a busy machine.
const SOON: Duration = Duration::from_secs(5);

/// A page's connection, and what it has shown so far.
struct Page<S> {
    socket: WebSocketStream<S>,
    screen: String,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Page<S> {
    fn new(socket: WebSocketStream<S>) -> Self {
        let screen = String::new();
        Self { socket, screen }
    }

    async fn types(&mut self, text: &str) {
        let typed = Message::binary(text.as_bytes().to_vec());
        self.socket.send(typed).await.unwrap();
    }

    async fn tells(&mut self, told: &serde_json::Value) {
        self.socket.send(told.to_string().into()).await.unwrap();
    }

    /// Reads until `text` was shown.
    async fn sees(&mut self, text: &str) {
        let read = async {
            while !self.screen.contains(text) {
                match self.socket.next().await {
                    Some(Ok(Message::Binary(bytes))) => {
                        self.screen += &String::from_utf8_lossy(&bytes);
                    }
                    Some(Ok(Message::Ping(_))) => {}
                    other => panic!("{text:?} never came, but {other:?}: {}", self.screen),
                }
            }
        };
        let seen = timeout(SLOW, read).await.is_ok();
        assert!(seen, "{text:?} never came: {}", self.screen);
    }

    /// Reads to the Close: its code and its reason.
    async fn ends(&mut self) -> (u16, String) {
        let read = async {
            loop {
                match self.socket.next().await {
                    Some(Ok(Message::Close(Some(close)))) => {
                        return (close.code.into(), close.reason.to_string());
                    }
                    Some(Ok(_)) => {}
                    other => panic!("no Close, but {other:?}: {}", self.screen),
                }
            }
        };
        within("a Close", SOON, read).await
    }
}

/// Somebody's page, over HTTP/1.1.
async fn page(
    person: &Person<'_>,
    name: &str,
) -> Page<tokio_rustls::client::TlsStream<tokio::net::TcpStream>> {
    let path = person.path("terminal", &format!("{name}?100x30"));
    Page::new(person.socket(&path, &[]).await.unwrap().0)
}

#[tokio::test]
async fn a_shell_answers_follows_the_size_and_tells_its_exit_code() {
    let world = World::start("").await;
    let person = world.log_in(&world.alice).await;
    let answer = person.open("terminal").await;
    assert!(answer.is_page());
    let csp = answer.header("content-security-policy");
    assert!(csp.contains("frame-ancestors 'none'"), "{csp}");

    let mut page = page(&person, "").await;
    page.types("echo \"[$(stty size)|$(id -un)|$PWD|$TERM|$COLORTERM|$SSH_TTY$TMUX]\"\n")
        .await;
    page.sees("[30 100|user|/home/user|tmux-256color|truecolor|]")
        .await;
    page.tells(&json!({ "size": [70, 20] })).await;
    page.types("while [ \"$(stty size)\" != '20 70' ]; do sleep 0.1; done; echo fol''lows\n")
        .await;
    page.sees("follows").await;
    page.types("exit 7\n").await;
    let (code, reason) = page.ends().await;
    assert_eq!(
        (code, reason.as_str()),
        (1000, "The shell has ended with exit code 7.")
    );
    until("its end is audited", SLOW, async || {
        world.audit("terminal_close").len() == 1
    })
    .await;
    let (opened, closed) = (
        &world.audit("terminal_open")[0],
        &world.audit("terminal_close")[0],
    );
    assert_eq!(opened["user"], world.alice.as_str());
    assert_eq!(opened["request.id"], closed["request.id"]);
    assert_eq!(closed["reason"], "exit");

    // As browsers do it, and the far end as bytes.
    let own = [
        ("cookie", person.cookie.as_str()),
        ("origin", &world.origin),
    ];
    let path = person.path("terminal", "h2?80x24");
    let mut page = Page::new(world.socket_h2(&path, &own).await);
    page.types("printf 'na\\303\\257ve\\n'; stty size\n").await;
    page.sees("naïve").await;
    page.sees("24 80").await;
}

#[tokio::test]
async fn a_lost_page_comes_back_to_its_shell_if_tmux_keeps_it() {
    let world = World::start("").await;
    let person = world.log_in(&world.alice).await;
    person.open("terminal").await;
    let mut first = page(&person, "").await;
    first
        .types("here=remembered; seq 1 200; echo do''ne\n")
        .await;
    first.sees("done").await;
    drop(first);
    let mut again = page(&person, "").await;
    again.types("echo it is $here\n").await;
    again.sees("it is remembered").await;
    for line in ["\n7\r\n", "\n77\r\n"] {
        assert!(
            again.screen.contains(line),
            "what scrolled away: {}",
            again.screen
        );
    }
    // Another name is another shell, and one that ended is begun anew.
    let mut other = page(&person, "other").await;
    other.types("echo \"it is <$here>\"; exit 3\n").await;
    other.sees("it is <>").await;
    assert_eq!(
        other.ends().await.1,
        "The shell has ended with exit code 3."
    );
    let mut other = page(&person, "other").await;
    other.types("exit\n").await;
    assert_eq!(other.ends().await.1, "The shell has ended.");

    world.end("TERM").await;
    assert_eq!(again.ends().await.0, 1012);
    world.configure("[terminal]\ntmux = false");
    world.launch().await;
    let mut plain = page(&person, "").await;
    plain.types("echo $0 \"<$here>\"; sleep 7001\n").await;
    plain.sees("-bash <>").await;
    let container = container_of(&world.alice);
    let sleeps = || world.docker.processes(&container, "sleep 7001").len();
    until("it sleeps", SLOW, async || sleeps() == 1).await;
    drop(plain);
    until("it ends with its page", SLOW, async || sleeps() == 0).await;
}

#[tokio::test]
async fn nobody_else_comes_in_and_only_a_person_starts_it() {
    let world = World::start("[workspace]\npatience = \"0s\"").await;
    let person = world.log_in(&world.alice).await;
    let path = person.path("terminal", "");
    let bare = person.socket(&path, &[]).await;
    assert_eq!(bare.err().unwrap(), 424);
    assert_eq!(person.fetch(&path).send().await.status, 424);
    assert_eq!(world.docker.id(&container_of(&world.alice)), None);

    let starting = person.visit(&path).send().await;
    assert_eq!(starting.status, 202, "{}", starting.text());
    let events = format!("/_vestibule/progress{path}");
    assert!(starting.text().contains(&events), "{}", starting.text());
    let told = person.fetch(&events).patient(SLOW).send().await;
    assert!(
        told.text().ends_with("event: ready\ndata: {}\n\n"),
        "{}",
        told.text()
    );
    assert_eq!(person.visit(&path).send().await.status, 200);
    assert_eq!(
        person
            .call(Method::POST, &path)
            .header("origin", &*world.origin)
            .send()
            .await
            .status,
        405
    );
    assert_eq!(
        person
            .visit(&person.path("terminal", "No"))
            .send()
            .await
            .status,
        404
    );

    let cookie = ("cookie", person.cookie.as_str());
    for origin in ["https://evil.test", "null", ""] {
        let refused = world.socket(&path, &[cookie, ("origin", origin)]).await;
        assert_eq!(refused.err().unwrap(), 403, "{origin:?}");
    }
    assert_eq!(world.socket(&path, &[cookie]).await.err().unwrap(), 403);
    let own = ("origin", world.origin.as_str());
    let stranger = world.log_in(&world.bob).await;
    let theirs = ("cookie", stranger.cookie.as_str());
    assert_eq!(
        world.socket(&path, &[theirs, own]).await.err().unwrap(),
        403
    );
    assert_eq!(stranger.visit(&path).send().await.status, 403);
    assert_eq!(world.socket(&path, &[own]).await.err().unwrap(), 401);

    for (apps, granted) in [(json!(["codespace"]), false), (json!(["terminal"]), true)] {
        let claims = with(session_claims(&world.alice), &json!({ "apps": apps }));
        let token = world.keys.sign(SESSION, &claims);
        world.secret(&token);
        let bearer = format!("Bearer {token}");
        let opened = world.socket(&path, &[("authorization", &bearer)]).await;
        assert_eq!(
            opened.err().map(|status| status.as_u16()),
            (!granted).then_some(403)
        );
        let home = world.get("/").bearer(&token).navigate().send().await;
        let button = home.text().contains(&format!("href=\"{path}\""));
        assert_eq!(button, granted, "{}", home.text());
    }

    world.end("TERM").await;
    world.configure("[terminal]\nenabled = false");
    world.launch().await;
    assert_eq!(person.visit(&path).send().await.status, 404);
    assert!(!person.visit("/").send().await.text().contains(&path));
}

#[tokio::test]
async fn a_terminal_ends_with_its_session_its_workspace_and_us() {
    let world = World::start("[terminal]\ntmux = false").await;
    let person = world.log_in(&world.alice).await;
    person.open("terminal").await;
    let mut revoked = page(&person, "").await;
    revoked.types("yes\n").await;
    revoked.sees("y\r\ny").await;
    let revoke = world.vestibule().args(["revoke", &world.alice]).status();
    assert!(revoke.unwrap().success());
    assert_eq!(revoked.ends().await.0, 1008);

    let person = world.log_in(&world.alice).await;
    let mut stopped = page(&person, "stop").await;
    stopped.types("echo he''re\n").await;
    stopped.sees("here").await;
    world.docker.run(&["kill", &container_of(&world.alice)]);
    assert_eq!(
        stopped.ends().await,
        (1001, "The workspace was stopped.".to_owned())
    );
    person.open("terminal").await;
    let mut restart = page(&person, "").await;
    restart.types("echo he''re\n").await;
    restart.sees("here").await;
    world.end("TERM").await;
    assert_eq!(restart.ends().await.0, 1012);
    let reasons: Vec<_> = world.audit("terminal_close");
    let reasons: Vec<&str> = reasons
        .iter()
        .map(|line| line["reason"].as_str().unwrap())
        .collect();
    assert_eq!(reasons, ["session-ended", "stopped", "restart"]);
}

#[tokio::test]
async fn what_is_typed_is_input_and_a_page_that_shows_nothing_holds_back_itself_alone() {
    let world = World::start("[terminal]\ntmux = false").await;
    let person = world.log_in(&world.alice).await;
    person.open("terminal").await;
    let mut slow = page(&person, "slow").await;
    slow.types("yes | head -c 4000000; echo all of it\n").await;
    // All that comes of itself, and then nothing.
    let mut came = 0;
    while let Ok(Some(message)) = timeout(Duration::from_secs(2), slow.socket.next()).await {
        came += message.unwrap().len();
    }
    assert!((500_000..700_000).contains(&came), "{came}");
    let mut other = page(&person, "other").await;
    other.types("echo qui''ck\n").await;
    other.sees("quick").await;
    // It hears what is typed all the same, and goes on as it is shown.
    slow.tells(&json!({ "shown": came })).await;
    let read = async {
        while !slow.screen.contains("all of it\r\n") {
            let bytes = slow.socket.next().await.unwrap().unwrap().into_data();
            slow.screen = String::from_utf8_lossy(&bytes).into_owned();
            slow.tells(&json!({ "shown": bytes.len() })).await;
        }
    };
    within("the rest", SLOW, read).await;

    let told = explain(&world, &world.alice);
    assert_eq!(told.sockets.len(), 2, "{told:?}");
    for socket in &told.sockets {
        assert_eq!(socket.app.as_deref(), Some("terminal"));
        assert!(socket.bytes_up > 0 && socket.bytes_down > 0, "{socket:?}");
        assert!(socket.input_seconds_ago.is_some(), "{socket:?}");
    }
    let clock = |name: &str| {
        told.clocks
            .iter()
            .find(|clock| clock.clock == name)
            .unwrap()
    };
    assert_eq!(clock("input").kind, Kind::Socket);
    assert_eq!(clock("connected").open, 2);

    // What no page of ours says ends it, and nothing else.
    for nonsense in ["{\"shown\":-1}", "[]", "{\"size\":[1]}", "\u{0}"] {
        let mut page = page(&person, "nonsense").await;
        page.socket.send(nonsense.into()).await.unwrap();
        assert_eq!(page.ends().await.0, 1002, "{nonsense:?}");
    }
    let mut flood = page(&person, "flood").await;
    flood.types("sleep 1000\n").await;
    let piece = Message::binary(vec![b'x'; 60_000]);
    let mut sent = 0;
    let closed = loop {
        tokio::select! {
            said = flood.socket.next() => match said.unwrap().unwrap() {
                Message::Close(close) => break close,
                _ => continue,
            },
            () = tokio::task::yield_now() => {}
        }
        if flood.socket.send(piece.clone()).await.is_ok() {
            sent += 1;
        }
        assert!(sent < 1000, "nothing bounds it");
    };
    assert_eq!(u16::from(closed.unwrap().code), 1009);
}
