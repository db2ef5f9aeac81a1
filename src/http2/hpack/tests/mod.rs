//! What the RFC shows, what is refused, and what never happens.

mod reading;
mod writing;

use super::*;

/// Bytes as the RFC writes them, in pairs of digits with or without blanks.
fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .chars()
        .filter_map(|c| u8::try_from(c.to_digit(16)?).ok())
        .collect();
    digits
        .chunks(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect()
}

/// A field as `name: value`.
fn text(field: &Field) -> String {
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    match field {
        Field::Pseudo(which, value) => format!("{}: {}", which.name(), text(value)),
        Field::Regular(name, value) => format!("{name}: {}", text(value.as_bytes())),
        Field::Malformed(size) => format!("malformed: {size}"),
    }
}

fn decode(decoder: &mut Decoder, block: &[u8]) -> Result<Vec<Field>, DecodeError> {
    let mut fields = Vec::new();
    decoder.decode(block, |field| fields.push(field.clone()))?;
    Ok(fields)
}

fn texts(decoder: &mut Decoder, block: &[u8]) -> Vec<String> {
    decode(decoder, block).unwrap().iter().map(text).collect()
}
