//! Writes header blocks of answers (RFC 7541 3 and 6), for speed: what a connection's answers have
//! in common takes one byte each, and nothing is in Huffman code.
//!
//! Fields about a connection, which a message over HTTP/2 may not have, are left out.
//!
//! Promise: nothing secret is put into the dynamic table or may be put into one by others, and the
//! table is never larger than the peer allows. It only grows: first come, first served.

use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{
        AGE, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_LOCATION, CONTENT_RANGE, DATE, ETAG,
        EXPIRES, LAST_MODIFIED, LOCATION, RETRY_AFTER, SET_COOKIE,
    },
};

use super::{TABLE_BOUND, integer, is_of_a_connection, size, static_table};

/// Most names that are known at once. With the static table's, they all have an index of one byte.
const MOST_NAMES: usize = 64;
/// Longest name that is known, so that they hold little.
const LONGEST_NAME: usize = 64;
/// Longest value that is put into the table, so that none takes the place of many.
const LONGEST_VALUE: usize = 512;
/// The static table's first entry with the name `:status`.
const STATUS: usize = 8;

/// Fields whose value is another one in each answer; in the table, they would only take room.
static CHANGING: [HeaderName; 13] = [
    AGE,
    CONTENT_DISPOSITION,
    CONTENT_LENGTH,
    CONTENT_LOCATION,
    CONTENT_RANGE,
    DATE,
    ETAG,
    EXPIRES,
    LAST_MODIFIED,
    LOCATION,
    RETRY_AFTER,
    SET_COOKIE,
    HeaderName::from_static("x-request-id"),
];

/// A connection's encoder, with its dynamic table (RFC 7541 2.2).
pub struct Encoder {
    /// The names of the fields written so far, in the order they came: most answers bring no other.
    known: Vec<Known>,
    /// Where in it the next field's name is expected.
    next: usize,
    /// How many entries the table has.
    entries: usize,
    /// What they count for.
    size: usize,
    /// What they may count for.
    most: usize,
    resized: Resized,
}

/// What the peer did to the table's size since the last block.
enum Resized {
    No,
    Raised,
    /// At least once, whatever came after it.
    Lowered,
}

/// A name, and what is known of fields with it.
struct Known {
    name: HeaderName,
    /// Its index in the static table, or 0.
    index: usize,
    /// Whether its value is another one in each answer.
    changes: bool,
    /// Whether it may not stand in an answer at all.
    barred: bool,
    /// The only entry of the table with this name.
    entry: Option<Entry>,
}

/// An entry of the dynamic table.
struct Entry {
    /// A copy, so that it doesn't hold on to a whole head.
    value: Box<[u8]>,
    /// How many entries were older.
    older: usize,
}

impl Encoder {
    /// With an empty table of at most 4096 bytes, the default (RFC 9113 6.5.2).
    pub fn new() -> Self {
        Self {
            known: Vec::new(),
            next: 0,
            entries: 0,
            size: 0,
            most: TABLE_BOUND,
            resized: Resized::No,
        }
    }

    /// Takes the peer's `SETTINGS_HEADER_TABLE_SIZE`: from the next block on, the table is no
    /// larger (RFC 7541 4.2).
    pub fn resize(&mut self, most: u32) {
        let most = usize::try_from(most).map_or(TABLE_BOUND, |most| most.min(TABLE_BOUND));
        if most < self.most {
            self.resized = Resized::Lowered;
        } else if most > self.most && matches!(self.resized, Resized::No) {
            self.resized = Resized::Raised;
        }
        self.most = most;
    }

    /// Writes a whole header block of an answer (RFC 9113 8.3.2).
    pub fn answer(&mut self, status: StatusCode, headers: &HeaderMap, out: &mut Vec<u8>) {
        self.begin(out);
        let index = match status.as_u16() {
            200 => STATUS,
            204 => 9,
            206 => 10,
            304 => 11,
            400 => 12,
            404 => 13,
            500 => 14,
            _ => 0,
        };
        if index > 0 {
            integer::encode(index, 7, 0x80, out);
        } else {
            integer::encode(STATUS, 4, 0, out);
            string(status.as_str().as_bytes(), out);
        }
        self.next = 0;
        self.fields(headers, out);
    }

    /// Writes a whole header block of trailers (RFC 9113 8.1).
    pub fn trailers(&mut self, headers: &HeaderMap, out: &mut Vec<u8>) {
        self.begin(out);
        self.fields(headers, out);
    }

    /// Says how large the table is from now on, if it was resized (RFC 7541 4.2 and 6.3).
    fn begin(&mut self, out: &mut Vec<u8>) {
        match std::mem::replace(&mut self.resized, Resized::No) {
            Resized::No => return,
            Resized::Raised => {}
            Resized::Lowered => {
                // It was at least once smaller than it is now: with no size at all, it is empty on
                // both sides, whatever was in it.
                integer::encode(0, 5, 0x20, out);
                self.known.clear();
                self.next = 0;
                self.entries = 0;
                self.size = 0;
            }
        }
        if self.most > 0 {
            integer::encode(self.most, 5, 0x20, out);
        }
    }

    fn fields(&mut self, headers: &HeaderMap, out: &mut Vec<u8>) {
        for (name, value) in headers {
            match self.find(name).or_else(|| self.learn(name)) {
                Some(at) if self.known[at].barred => {}
                Some(at) => self.field(at, value, out),
                None if is_of_a_connection(name) => {}
                None => literal(static_table::index(name), name, value, out),
            }
        }
    }

    /// Where a name is known, beginning where it is expected.
    fn find(&mut self, name: &HeaderName) -> Option<usize> {
        let mut places = (self.next..self.known.len()).chain(0..self.next);
        let at = places.find(|&at| self.known[at].name == *name)?;
        self.next = at + 1;
        Some(at)
    }

    /// Makes a name known, if there is room for it.
    fn learn(&mut self, name: &HeaderName) -> Option<usize> {
        let at = self.known.len();
        if at == MOST_NAMES || name.as_str().len() > LONGEST_NAME {
            return None;
        }
        self.known.push(Known {
            name: name.clone(),
            index: static_table::index(name),
            changes: CHANGING.contains(name),
            barred: is_of_a_connection(name),
            entry: None,
        });
        self.next = at + 1;
        Some(at)
    }

    /// Writes a field whose name is known, in the shortest way.
    fn field(&mut self, at: usize, value: &HeaderValue, out: &mut Vec<u8>) {
        let known = &mut self.known[at];
        let bytes = value.as_bytes();
        let mut index = known.index;
        if let Some(entry) = &known.entry {
            let place = static_table::LENGTH + self.entries - entry.older;
            if !value.is_sensitive() && *entry.value == *bytes {
                return integer::encode(place, 7, 0x80, out);
            }
            if index == 0 {
                index = place;
            }
        } else if !known.changes && !value.is_sensitive() && bytes.len() <= LONGEST_VALUE {
            let size = self.size + size(known.name.as_str().len(), bytes.len());
            if size <= self.most {
                known.entry = Some(Entry {
                    value: bytes.into(),
                    older: self.entries,
                });
                self.entries += 1;
                self.size = size;
                integer::encode(index, 6, 0x40, out);
                return strings(index, &known.name, bytes, out);
            }
        }
        literal(index, &known.name, value, out);
    }
}

/// Writes a field that is put into no table (RFC 7541 6.2.2), nor may be by anybody who passes it
/// on, if it is secret (RFC 7541 6.2.3 and 7.1.3).
fn literal(index: usize, name: &HeaderName, value: &HeaderValue, out: &mut Vec<u8>) {
    let secret = value.is_sensitive() || *name == SET_COOKIE;
    integer::encode(index, 4, if secret { 0x10 } else { 0 }, out);
    strings(index, name, value.as_bytes(), out);
}

/// Writes the value, and before it the name if it has no index.
fn strings(index: usize, name: &HeaderName, value: &[u8], out: &mut Vec<u8>) {
    if index == 0 {
        string(name.as_str().as_bytes(), out);
    }
    string(value, out);
}

/// Writes a string as it is (RFC 7541 5.2).
fn string(bytes: &[u8], out: &mut Vec<u8>) {
    integer::encode(bytes.len(), 7, 0, out);
    out.extend_from_slice(bytes);
}
