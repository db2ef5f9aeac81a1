//! Decodes the server's heads.

use super::super::hpack::{Decoder, Field, Pseudo};

/// What one connection's heads have left behind (RFC 7541 2.3.2).
pub type State = Decoder;

/// The fields of one head, in order.
pub fn decode(state: &mut State, block: &[u8]) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("our fields are ASCII");
    let mut fields = Vec::new();
    let decoded = state.decode(block, |field| {
        fields.push(match field {
            Field::Pseudo(Pseudo::Status, value) => (":status".to_owned(), text(value)),
            Field::Regular(name, value) => (name.to_string(), text(value.as_bytes())),
            other => panic!("{other:?} in an answer"),
        });
    });
    decoded.expect("a head is HPACK");
    fields
}
