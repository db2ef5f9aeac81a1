//! What a client may make us hold, and how long it may take.

use std::time::Duration;

/// Requests at once: what browsers expect at least (RFC 9113 6.5.2).
pub const STREAMS: u32 = 100;
/// Streams of which anything is left, such as a body that goes on behind its answer.
pub const KNOWN_STREAMS: usize = 200;
/// So many streams are remembered that we ended and the client may not know of: more than are on
/// their way.
pub const CUT_STREAMS: usize = 1024;

/// Largest head of a request in bytes, as fields count (RFC 9113 10.5.1); the same as over HTTP/1.1.
pub const HEAD_LIST: u32 = 64 * 1024;
/// Largest block of fields in bytes that is read at all, so that a head somewhat larger is refused
/// by itself.
pub const HEAD_BLOCK: usize = 2 * HEAD_LIST as usize;

/// How many bytes a client may send on a stream before somebody takes them: enough that a far
/// upload isn't held back.
pub const STREAM_WINDOW: u32 = 1024 * 1024;
/// The same on all streams together, which is what unread uploads of one connection may hold.
pub const CONNECTION_WINDOW: u32 = 2 * 1024 * 1024;
/// So many bytes wait to be sent; then streams wait.
pub const WAITING: usize = 64 * 1024;

/// Frames at once that are of no use to the client: 100 requests that are cancelled, with all that
/// browsers say about each, are a fifth of it.
pub const USELESS: u32 = 2000;
/// How many more of them each second allows.
pub const USELESS_EACH_SECOND: u32 = 200;

/// Longest the first request may take, and each head from its first byte to its end; the same as
/// over HTTP/1.1.
pub const HEAD_TIME: Duration = Duration::from_secs(10);
/// How long a client may take for a sign of life: what asks for it may stand behind much of an
/// answer on a slow way.
pub const PONG_TIME: Duration = Duration::from_mins(1);
/// How long a connection on which nothing is open is kept for further requests.
pub const IDLE_TIME: Duration = Duration::from_mins(3);
/// How long a client that doesn't answer may need to hear that it should leave, and to close its side:
/// longer than a far one's answer takes.
pub const LEAVING_TIME: Duration = Duration::from_secs(1);
