//! A mark: a point between two batches, written down with its evidence.
//!
//! Two marks bound a log. The *base*, a value in the database, says after which batch the retained
//! ones begin. The *head*, a file beside the database, says up to which batch they are durable.
//!
//! ```text
//! magic           8 bytes   "tandemlg"
//! format          u8        = 1
//! kind            u8        'B' base, 'H' head
//! sequence        u64       the last batch before the point, 0 if there is none
//! position        u64       the last record before the point, 0 if there is none
//! hash            32        that batch's hash, or the genesis hash
//! log id          u8 + 64   length and bytes, filled up with zeros
//! coordinator id  u8 + 64   the same
//! zeros
//! checksum        32        SHA-256 of all of the above
//! ```
//! 512 bytes in all, one sector: a disk writes it whole or not at all.

use thiserror::Error;

use crate::batch::{Hash, genesis_hash, read_u64, sha256};
use crate::{Identity, OpenError};

/// The longest log id and coordinator id, in bytes.
pub const IDENTITY_BYTES_MAX: usize = 64;

/// Bytes of a mark.
pub const MARK_BYTES: usize = 512;
pub(crate) const MARK_FORMAT: u8 = 1;
const MAGIC: &[u8; 8] = b"tandemlg";
const SEQUENCE_AT: usize = 10;
const POSITION_AT: usize = 18;
const HASH_AT: usize = 26;
const LOG_ID_AT: usize = 58;
const COORDINATOR_ID_AT: usize = LOG_ID_AT + 1 + IDENTITY_BYTES_MAX;
const CHECKSUM_AT: usize = MARK_BYTES - 32;

/// Which of the two marks bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MarkKind {
    /// After which batch the retained ones begin.
    Base,
    /// Up to which batch they are durable.
    Head,
}

impl MarkKind {
    fn tag(self) -> u8 {
        match self {
            MarkKind::Base => b'B',
            MarkKind::Head => b'H',
        }
    }
}

/// A point in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Point {
    /// The last batch before it, 0 if there is none.
    pub sequence: u64,
    /// The last record before it, 0 if there is none.
    pub position: u64,
    /// That batch's hash, or the genesis hash.
    pub hash: Hash,
}

impl Point {
    /// Before the first batch of a log.
    pub fn genesis(identity: &Identity) -> Self {
        Self {
            sequence: 0,
            position: 0,
            hash: genesis_hash(identity),
        }
    }
}

/// A point and the log that it is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// Whose log it is.
    pub identity: Identity,
    /// Where in it.
    pub point: Point,
}

/// Why bytes are not a mark.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum MarkError {
    /// They are too few or too many.
    #[error("it is {0} bytes long and should be {MARK_BYTES}")]
    Length(usize),
    /// They are something else, or a mark of the other kind.
    #[error("it does not begin as tandem writes it")]
    Magic,
    /// Another version has written them.
    #[error("its format version {0} is unknown")]
    UnknownFormat(u8),
    /// They were changed.
    #[error("its checksum does not match its content")]
    Checksum,
    /// An id is too long or no UTF-8.
    #[error("its ids are not readable")]
    Identity,
}

/// Refuses ids that a mark can't hold.
pub(crate) fn check_identity(identity: &Identity) -> Result<(), OpenError> {
    for (which, id) in [
        ("log id", &identity.log_id),
        ("coordinator id", &identity.coordinator_id),
    ] {
        if id.is_empty() || id.len() > IDENTITY_BYTES_MAX || id.chars().any(char::is_control) {
            return Err(OpenError::Identity {
                which,
                given: id.clone(),
                max: IDENTITY_BYTES_MAX,
            });
        }
    }
    Ok(())
}

impl Mark {
    /// Its bytes. The ids have 1 to [`IDENTITY_BYTES_MAX`] bytes.
    pub fn encode(&self, kind: MarkKind) -> [u8; MARK_BYTES] {
        let mut bytes = [0; MARK_BYTES];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8] = MARK_FORMAT;
        bytes[9] = kind.tag();
        bytes[SEQUENCE_AT..POSITION_AT].copy_from_slice(&self.point.sequence.to_be_bytes());
        bytes[POSITION_AT..HASH_AT].copy_from_slice(&self.point.position.to_be_bytes());
        bytes[HASH_AT..LOG_ID_AT].copy_from_slice(&self.point.hash);
        for (at, id) in [
            (LOG_ID_AT, &self.identity.log_id),
            (COORDINATOR_ID_AT, &self.identity.coordinator_id),
        ] {
            bytes[at] = id.len() as u8;
            bytes[at + 1..at + 1 + id.len()].copy_from_slice(id.as_bytes());
        }
        let checksum = sha256(&bytes[..CHECKSUM_AT]);
        bytes[CHECKSUM_AT..].copy_from_slice(&checksum);
        bytes
    }

    /// Reads a mark of this kind back.
    pub fn decode(bytes: &[u8], kind: MarkKind) -> Result<Self, MarkError> {
        let bytes: &[u8; MARK_BYTES] = bytes
            .try_into()
            .map_err(|_| MarkError::Length(bytes.len()))?;
        if &bytes[..8] != MAGIC {
            return Err(MarkError::Magic);
        }
        if bytes[8] != MARK_FORMAT {
            return Err(MarkError::UnknownFormat(bytes[8]));
        }
        if bytes[9] != kind.tag() {
            return Err(MarkError::Magic);
        }
        if sha256(&bytes[..CHECKSUM_AT]) != bytes[CHECKSUM_AT..] {
            return Err(MarkError::Checksum);
        }
        Ok(Self {
            identity: Identity {
                log_id: decode_id(bytes, LOG_ID_AT)?,
                coordinator_id: decode_id(bytes, COORDINATOR_ID_AT)?,
            },
            point: Point {
                sequence: read_u64(bytes, SEQUENCE_AT).ok_or(MarkError::Checksum)?,
                position: read_u64(bytes, POSITION_AT).ok_or(MarkError::Checksum)?,
                hash: bytes[HASH_AT..LOG_ID_AT]
                    .try_into()
                    .map_err(|_| MarkError::Checksum)?,
            },
        })
    }
}

fn decode_id(bytes: &[u8; MARK_BYTES], at: usize) -> Result<String, MarkError> {
    let length = bytes[at] as usize;
    if length > IDENTITY_BYTES_MAX {
        return Err(MarkError::Identity);
    }
    String::from_utf8(bytes[at + 1..at + 1 + length].to_vec()).map_err(|_| MarkError::Identity)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn mark() -> Mark {
        let identity = Identity {
            log_id: "l".repeat(IDENTITY_BYTES_MAX),
            coordinator_id: "shop-1".to_owned(),
        };
        let mut point = Point::genesis(&identity);
        point.sequence = 12;
        point.position = 345;
        Mark { identity, point }
    }

    #[test]
    fn what_was_written_is_read_back_as_the_same_kind_only() {
        let bytes = mark().encode(MarkKind::Head);
        assert_eq!(Mark::decode(&bytes, MarkKind::Head), Ok(mark()));
        assert_eq!(Mark::decode(&bytes, MarkKind::Base), Err(MarkError::Magic));
    }

    #[test]
    fn every_changed_byte_is_refused() {
        let bytes = mark().encode(MarkKind::Base);
        for at in 0..MARK_BYTES {
            let mut flipped = bytes;
            flipped[at] ^= 1 << (at % 8);
            assert!(Mark::decode(&flipped, MarkKind::Base).is_err(), "byte {at}");
            assert!(Mark::decode(&bytes[..at], MarkKind::Base).is_err());
        }
    }

    #[test]
    fn ids_that_do_not_fit_are_refused() {
        for id in ["", "a\nb", &"x".repeat(IDENTITY_BYTES_MAX + 1)] {
            let mut identity = mark().identity;
            identity.coordinator_id = id.to_owned();
            assert!(check_identity(&identity).is_err(), "{id:?}");
        }
        assert!(check_identity(&mark().identity).is_ok());
    }
}
