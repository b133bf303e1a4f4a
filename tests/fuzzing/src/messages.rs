//! Changes of protobuf messages by their fields, without knowing what the fields mean.

use crate::mutate::{self, NUMBERS, TEXTS};
use crate::random::Random;

#[derive(Debug, Clone)]
struct Field {
    number: u64,
    value: Value,
}

#[derive(Debug, Clone)]
enum Value {
    Varint(u64),
    Fixed64([u8; 8]),
    Fixed32([u8; 4]),
    /// A text, bytes or a message.
    Bytes(Vec<u8>),
}

/// A message with one to four fields changed, added, removed or taken from `other`.
pub(crate) fn mutated(base: &[u8], other: &[u8], random: &mut Random) -> Vec<u8> {
    let Some(mut fields) = parse(base) else {
        return mutate::bytes(base, other, random);
    };
    let others = parse(other).unwrap_or_default();
    for _ in 0..=random.below(4) {
        change(&mut fields, &others, random, 0);
    }
    write(&fields)
}

fn change(fields: &mut Vec<Field>, others: &[Field], random: &mut Random, depth: usize) {
    let at = random.below(fields.len());
    if fields.is_empty() || random.one_in(8) {
        let field = match random.of(others) {
            Some(field) if !random.one_in(3) => field.clone(),
            _ => any_field(random),
        };
        let at = random.below(fields.len() + 1);
        return fields.insert(at, field);
    }
    match random.below(12) {
        0 => drop(fields.remove(at)),
        1 => {
            // Once, or as often as it takes to pass a limit.
            let times = if random.one_in(20) { 130 } else { 1 };
            let field = fields[at].clone();
            fields.splice(at..at, std::iter::repeat_n(field, times));
        }
        2 => {
            let to = random.below(fields.len());
            fields.swap(at, to);
        }
        3 => fields[at].number = 1 + random.number() % 9,
        4 => fields[at].value = any_value(random),
        _ => change_value(&mut fields[at].value, others, random, depth),
    }
}

fn change_value(value: &mut Value, others: &[Field], random: &mut Random, depth: usize) {
    match value {
        Value::Varint(number) => {
            *number = match random.below(4) {
                0 => number.wrapping_add(1),
                1 => number.wrapping_sub(1),
                2 => *number ^ (1 << random.below(64)),
                _ => random.of(NUMBERS).copied().unwrap_or_default(),
            }
        }
        Value::Fixed64(bytes) => *bytes = random.number().to_le_bytes(),
        Value::Fixed32(bytes) => bytes.copy_from_slice(&random.number().to_le_bytes()[..4]),
        Value::Bytes(bytes) => {
            let inner = parse(bytes).filter(|fields| !fields.is_empty());
            match inner {
                Some(mut fields) if depth < 6 && !random.one_in(4) => {
                    let inside = random.of(others).and_then(|field| match &field.value {
                        Value::Bytes(bytes) => parse(bytes),
                        _ => None,
                    });
                    change(&mut fields, &inside.unwrap_or_default(), random, depth + 1);
                    *bytes = write(&fields);
                }
                _ if random.one_in(3) => {
                    *bytes = random.of(TEXTS).copied().unwrap_or_default().into();
                }
                _ => {
                    let other = random.of(TEXTS).copied().unwrap_or_default();
                    *bytes = mutate::bytes(bytes, other.as_bytes(), random);
                    // Texts that are not UTF-8 are refused before anybody looks at them.
                    if !random.one_in(8) {
                        *bytes = String::from_utf8_lossy(bytes).into_owned().into();
                    }
                }
            }
        }
    }
}

fn any_field(random: &mut Random) -> Field {
    Field {
        number: 1 + random.number() % 9,
        value: any_value(random),
    }
}

fn any_value(random: &mut Random) -> Value {
    match random.below(8) {
        0 => Value::Fixed64(random.number().to_le_bytes()),
        1 => Value::Fixed32([random.byte(); 4]),
        2 | 3 => Value::Bytes(random.of(TEXTS).copied().unwrap_or_default().into()),
        4 => Value::Bytes(Vec::new()),
        _ => Value::Varint(random.of(NUMBERS).copied().unwrap_or_default()),
    }
}

fn parse(mut bytes: &[u8]) -> Option<Vec<Field>> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes)?;
        let value = match key & 7 {
            0 => Value::Varint(varint(&mut bytes)?),
            1 => Value::Fixed64(take(&mut bytes, 8)?.try_into().ok()?),
            2 => {
                let length = usize::try_from(varint(&mut bytes)?).ok()?;
                Value::Bytes(take(&mut bytes, length)?.to_vec())
            }
            5 => Value::Fixed32(take(&mut bytes, 4)?.try_into().ok()?),
            _ => return None,
        };
        let number = key >> 3;
        if number == 0 {
            return None;
        }
        fields.push(Field { number, value });
    }
    Some(fields)
}

fn write(fields: &[Field]) -> Vec<u8> {
    let mut out = Vec::new();
    for Field { number, value } in fields {
        let wire = match value {
            Value::Varint(_) => 0,
            Value::Fixed64(_) => 1,
            Value::Bytes(_) => 2,
            Value::Fixed32(_) => 5,
        };
        put_varint(&mut out, number << 3 | wire);
        match value {
            Value::Varint(number) => put_varint(&mut out, *number),
            Value::Fixed64(bytes) => out.extend(bytes),
            Value::Fixed32(bytes) => out.extend(bytes),
            Value::Bytes(bytes) => {
                put_varint(&mut out, bytes.len() as u64);
                out.extend(bytes);
            }
        }
    }
    out
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(taken)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = take(bytes, 1)?[0];
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_written_as_they_were_read() {
        let bytes = [
            0x08, 0x96, 0x01, 0x12, 0x03, b'a', b'b', b'c', 0x1d, 1, 2, 3, 4,
        ];
        let fields = parse(&bytes).expect("a message");
        assert_eq!(fields.len(), 3);
        assert_eq!(write(&fields), bytes);
        assert!(parse(&bytes[..7]).is_none());
    }
}
