//! Reads header blocks of requests (RFC 7541 3 and 6), strictly.
//!
//! Promise: a block is decoded to its end or refused; the dynamic table is within its bound before
//! a field is put into it, and a field is parsed once, however often it is named.

use std::collections::VecDeque;

use bytes::Bytes;
use http::{
    HeaderName, HeaderValue,
    header::{AUTHORIZATION, COOKIE},
};

use super::{DecodeError, Field, Pseudo, TABLE_BOUND, huffman, integer, size, static_table};

/// Most bytes kept between two blocks for the next string in Huffman code.
const MOST_KEPT: usize = 1024;

/// A connection's decoder, with its dynamic table (RFC 7541 2.2).
pub struct Decoder {
    table: Table,
    /// The string that was last decoded from Huffman code.
    text: Vec<u8>,
}

impl Decoder {
    /// With an empty table of at most 4096 bytes, the default (RFC 9113 6.5.2).
    pub fn new() -> Self {
        let table = Table {
            entries: VecDeque::new(),
            size: 0,
            most: TABLE_BOUND,
        };
        let text = Vec::new();
        Self { table, text }
    }

    /// Decodes one whole header block, and hands each field to `each`, in order (RFC 7541 3.2).
    ///
    /// # Errors
    /// [`DecodeError`]; nothing may be decoded after it.
    pub fn decode(
        &mut self,
        block: &[u8],
        mut each: impl FnMut(&Field),
    ) -> Result<(), DecodeError> {
        let mut rest = block;
        // Only here may the table be resized (RFC 7541 4.2).
        while let Some(0x20..0x40) = rest.first() {
            self.table.resize(integer::decode(&mut rest, 5)?)?;
        }
        while let Some(&first) = rest.first() {
            match first {
                0x80.. => each(self.table.field(integer::decode(&mut rest, 7)?)?),
                0x40.. => {
                    let entry = self.literal(&mut rest, 6, false)?;
                    each(&entry.field);
                    self.table.insert(entry);
                }
                0x20.. => return Err(DecodeError::Resize),
                _ => each(&self.literal(&mut rest, 4, first >= 0x10)?.field),
            }
        }
        if self.text.capacity() > MOST_KEPT {
            self.text = Vec::new();
        }
        Ok(())
    }

    /// What the table's entries count for, counted anew.
    #[cfg(test)]
    pub(super) fn table_size(&self) -> usize {
        let size = self
            .table
            .entries
            .iter()
            .map(|entry| entry.field.size())
            .sum();
        assert_eq!(self.table.size, size);
        size
    }

    /// Takes a field whose value is written out (RFC 7541 6.2); `never` if nobody may index it.
    fn literal(
        &mut self,
        rest: &mut &[u8],
        prefix: u32,
        never: bool,
    ) -> Result<Entry, DecodeError> {
        let name = match integer::decode(rest, prefix)? {
            0 => Name::parse(string(rest, &mut self.text)?),
            index => self.table.name(index)?,
        };
        Ok(Entry::new(name, string(rest, &mut self.text)?, never))
    }
}

/// Takes a string (RFC 7541 5.2); `text` is for one in Huffman code.
fn string<'a: 'b, 'b>(rest: &mut &'a [u8], text: &'b mut Vec<u8>) -> Result<&'b [u8], DecodeError> {
    let coded = rest.first().is_some_and(|&first| first >= 0x80);
    let length = integer::decode(rest, 7)?;
    let (bytes, behind) = rest
        .split_at_checked(length)
        .ok_or(DecodeError::Truncated)?;
    *rest = behind;
    if !coded {
        return Ok(bytes);
    }
    huffman::decode(bytes, text)?;
    Ok(text)
}

/// A field's name.
#[derive(Clone)]
enum Name {
    Pseudo(Pseudo),
    Regular(HeaderName),
    /// One that no field may have, of this length.
    Malformed(usize),
}

impl Name {
    fn parse(bytes: &[u8]) -> Self {
        if let Some(which) = Pseudo::named(bytes) {
            Self::Pseudo(which)
        } else if let Ok(name) = HeaderName::from_lowercase(bytes) {
            Self::Regular(name)
        } else {
            Self::Malformed(bytes.len())
        }
    }

    fn length(&self) -> usize {
        match self {
            Self::Pseudo(which) => which.name().len(),
            Self::Regular(name) => name.as_str().len(),
            Self::Malformed(length) => *length,
        }
    }
}

/// An entry of the dynamic table.
struct Entry {
    field: Field,
    /// The name of a malformed field, for it may stand in another (RFC 7541 6.2): it may be the
    /// value alone that is wrong.
    name: Option<Box<Name>>,
}

impl Entry {
    fn new(name: Name, bytes: &[u8], never: bool) -> Self {
        let name = match name {
            Name::Pseudo(which) => {
                let value = Bytes::copy_from_slice(bytes);
                return Self::from(Field::Pseudo(which, value));
            }
            Name::Regular(name) => match value(bytes) {
                Some(mut value) => {
                    value.set_sensitive(never || name == COOKIE || name == AUTHORIZATION);
                    return Self::from(Field::Regular(name, value));
                }
                None => Name::Regular(name),
            },
            Name::Malformed(length) => Name::Malformed(length),
        };
        Self {
            field: Field::Malformed(size(name.length(), bytes.len())),
            name: Some(Box::new(name)),
        }
    }
}

impl From<Field> for Entry {
    fn from(field: Field) -> Self {
        Self { field, name: None }
    }
}

/// The value, if it may stand in a message: without blanks around it (RFC 9113 8.2.1).
fn value(bytes: &[u8]) -> Option<HeaderValue> {
    let blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    if blank(bytes.first()) || blank(bytes.last()) {
        return None;
    }
    HeaderValue::from_bytes(bytes).ok()
}

/// The dynamic table (RFC 7541 2.3.2), and the static one before it (RFC 7541 2.3.3).
struct Table {
    /// The newest first.
    entries: VecDeque<Entry>,
    /// What they count for.
    size: usize,
    /// What they may count for.
    most: usize,
}

impl Table {
    /// The field with this index (RFC 7541 6.1).
    fn field(&self, index: usize) -> Result<&Field, DecodeError> {
        let place = index.checked_sub(1).ok_or(DecodeError::Index)?;
        match static_table::FIELDS.get(place) {
            Some(field) => Ok(field),
            None => self.entry(place).map(|entry| &entry.field),
        }
    }

    /// The name of the field with this index (RFC 7541 6.2).
    fn name(&self, index: usize) -> Result<Name, DecodeError> {
        match self.field(index)? {
            Field::Pseudo(which, _) => Ok(Name::Pseudo(*which)),
            Field::Regular(name, _) => Ok(Name::Regular(name.clone())),
            Field::Malformed(_) => {
                let entry = self.entry(index - 1)?;
                entry.name.as_deref().cloned().ok_or(DecodeError::Index)
            }
        }
    }

    /// The entry in this place, counted from the static table's first on.
    fn entry(&self, place: usize) -> Result<&Entry, DecodeError> {
        let place = place.checked_sub(static_table::LENGTH);
        let entry = place.and_then(|place| self.entries.get(place));
        entry.ok_or(DecodeError::Index)
    }

    /// Puts it in front; one that is too large empties the table (RFC 7541 4.4).
    fn insert(&mut self, entry: Entry) {
        let size = entry.field.size();
        self.shrink(self.most.saturating_sub(size));
        if size <= self.most {
            self.size += size;
            self.entries.push_front(entry);
        }
    }

    /// Changes what it may count for (RFC 7541 4.3 and 6.3).
    fn resize(&mut self, most: usize) -> Result<(), DecodeError> {
        if most > TABLE_BOUND {
            return Err(DecodeError::Resize);
        }
        self.most = most;
        self.shrink(most);
        Ok(())
    }

    /// Takes the oldest out, until what is left counts for no more than `most`.
    fn shrink(&mut self, most: usize) {
        while self.size > most
            && let Some(entry) = self.entries.pop_back()
        {
            self.size -= entry.field.size();
        }
    }
}
