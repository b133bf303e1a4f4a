//! A batch: the records that one group commit stores under one checksum.
//!
//! ```text
//! format         u8    = 1
//! length         u32   of the whole batch in bytes, hash included
//! sequence       u64   gap-free number of the batch, from 1
//! first position u64   number of its first record
//! count          u32   how many records, at least 1
//! previous hash  32    the hash of the batch before (the genesis hash for the first)
//! records              each: length u32, then its bytes
//! hash           32    SHA-256 of all of the above
//! ```
//! Integers are big-endian. Each batch names the hash of the one before, so a batch that was lost,
//! swapped or replaced by one of another log breaks the chain.

use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::{Identity, Position};

/// The most that one batch may occupy.
pub const BATCH_BYTES_MAX: usize = 64 * 1024;
/// The longest record; it fits in a batch together with the batch's own fields.
pub const RECORD_BYTES_MAX: usize = 60 * 1024;

pub(crate) const BATCH_FORMAT: u8 = 1;
const HASH_BYTES: usize = 32;
const PREVIOUS_AT: usize = 25;
const RECORDS_AT: usize = PREVIOUS_AT + HASH_BYTES;
const LENGTH_PREFIX_BYTES: usize = 4;

/// SHA-256, whole.
pub type Hash = [u8; HASH_BYTES];

pub(crate) fn sha256(bytes: &[u8]) -> Hash {
    Sha256::digest(bytes).into()
}

/// The "hash of the batch before" the first batch: it ties the chain to its log.
pub(crate) fn genesis_hash(identity: &Identity) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update(b"tandem decision log\0");
    for id in [&identity.log_id, &identity.coordinator_id] {
        hasher.update((id.len() as u64).to_be_bytes());
        hasher.update(id.as_bytes());
    }
    hasher.finalize().into()
}

/// Collects records until a batch is full.
#[derive(Debug)]
pub struct BatchBuilder {
    bytes: Vec<u8>,
    sequence: u64,
    count: u32,
}

impl BatchBuilder {
    /// An empty batch with this gap-free number (from 1), behind a batch with the hash `previous`.
    /// `first_position` is its first record's.
    pub fn new(sequence: u64, first_position: u64, previous: &Hash) -> Self {
        let mut bytes = Vec::with_capacity(1024);
        bytes.push(BATCH_FORMAT);
        bytes.extend(0_u32.to_be_bytes());
        bytes.extend(sequence.to_be_bytes());
        bytes.extend(first_position.to_be_bytes());
        bytes.extend(0_u32.to_be_bytes());
        bytes.extend(previous);
        Self {
            bytes,
            sequence,
            count: 0,
        }
    }

    /// The batch's sequence number.
    pub(crate) fn sequence(&self) -> u64 {
        self.sequence
    }

    /// How many records it holds.
    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    /// Whether a record fits in as well.
    pub fn has_room_for(&self, record: &[u8]) -> bool {
        self.bytes.len() + LENGTH_PREFIX_BYTES + record.len() + HASH_BYTES <= BATCH_BYTES_MAX
    }

    /// Adds a record that there is room for.
    pub fn push(&mut self, record: &[u8]) {
        debug_assert!(self.has_room_for(record));
        self.bytes.extend((record.len() as u32).to_be_bytes());
        self.bytes.extend(record);
        self.count += 1;
    }

    /// The encoded batch and its hash.
    pub fn finish(mut self) -> (Vec<u8>, Hash) {
        let length = (self.bytes.len() + HASH_BYTES) as u32;
        self.bytes[1..5].copy_from_slice(&length.to_be_bytes());
        self.bytes[21..25].copy_from_slice(&self.count.to_be_bytes());
        let hash = sha256(&self.bytes);
        self.bytes.extend(hash);
        (self.bytes, hash)
    }
}

/// A batch that was read back and whose checksum holds.
#[derive(Debug, PartialEq, Eq)]
pub struct Batch {
    /// Its gap-free number, from 1.
    pub sequence: u64,
    /// The number of its first record.
    pub first_position: u64,
    /// The hash of the batch before, the genesis hash for the first.
    pub previous: Hash,
    /// Its records, at least one.
    pub records: Vec<Vec<u8>>,
    /// Its own hash, under which all of the above is.
    pub hash: Hash,
}

impl Batch {
    /// Reads a batch back; refuses anything that [`BatchBuilder`] did not write.
    pub fn decode(bytes: &[u8]) -> Result<Batch, BatchError> {
        let format = bytes.first().copied();
        if let Some(format) = format.filter(|format| *format != BATCH_FORMAT) {
            return Err(BatchError::UnknownFormat(format));
        }
        let declared = declared_length(bytes).unwrap_or(RECORDS_AT + HASH_BYTES);
        if declared != bytes.len() || declared < RECORDS_AT + HASH_BYTES {
            return Err(BatchError::Length {
                declared,
                found: bytes.len(),
            });
        }
        let (content, hash) = bytes.split_at(bytes.len() - HASH_BYTES);
        if sha256(content) != hash {
            return Err(BatchError::Checksum);
        }
        let field = |at| read_u64(content, at).ok_or(BatchError::Records);
        let count = read_u32(content, 21).ok_or(BatchError::Records)?;
        let mut records = Vec::new();
        let mut at = RECORDS_AT;
        while at < content.len() {
            let length = read_u32(content, at).ok_or(BatchError::Records)? as usize;
            at += LENGTH_PREFIX_BYTES;
            let record = content.get(at..at + length).ok_or(BatchError::Records)?;
            records.push(record.to_vec());
            at += length;
        }
        if records.is_empty() || records.len() != count as usize {
            return Err(BatchError::Records);
        }
        Ok(Batch {
            sequence: field(5)?,
            first_position: field(13)?,
            previous: declared_previous(content).ok_or(BatchError::Records)?,
            records,
            hash: hash.try_into().map_err(|_| BatchError::Checksum)?,
        })
    }

    /// Whether a record is in it.
    pub(crate) fn holds(&self, position: Position) -> bool {
        self.record(position).is_some()
    }

    /// The record at a position.
    pub(crate) fn record(&self, position: Position) -> Option<&[u8]> {
        let at = position.0.checked_sub(self.first_position)?;
        self.records
            .get(usize::try_from(at).ok()?)
            .map(Vec::as_slice)
    }
}

/// Why bytes are not a batch.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum BatchError {
    /// Another version has written them.
    #[error("its format version {0} is unknown")]
    UnknownFormat(u8),
    /// Something is cut off, or is too much.
    #[error("it is {found} bytes long and should be {declared}")]
    Length {
        /// Bytes that it says it has.
        declared: usize,
        /// Bytes that are there.
        found: usize,
    },
    /// They were changed.
    #[error("its checksum does not match its content")]
    Checksum,
    /// They were not written by a [`BatchBuilder`].
    #[error("its records do not add up")]
    Records,
}

/// The length that a batch declares, or none if not even that much is there.
pub(crate) fn declared_length(bytes: &[u8]) -> Option<usize> {
    read_u32(bytes, 1).map(|length| length as usize)
}

/// The hash of the batch before, from the first bytes of a batch.
pub(crate) fn declared_previous(bytes: &[u8]) -> Option<Hash> {
    bytes
        .get(PREVIOUS_AT..RECORDS_AT)
        .and_then(|hash| hash.try_into().ok())
}

pub(crate) fn read_u32(bytes: &[u8], at: usize) -> Option<u32> {
    let field = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_be_bytes(field.try_into().ok()?))
}

pub(crate) fn read_u64(bytes: &[u8], at: usize) -> Option<u64> {
    let field = bytes.get(at..at.checked_add(8)?)?;
    Some(u64::from_be_bytes(field.try_into().ok()?))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn build(sequence: u64, first: u64, previous: &Hash, records: &[Vec<u8>]) -> Vec<u8> {
        let mut builder = BatchBuilder::new(sequence, first, previous);
        for record in records {
            builder.push(record);
        }
        builder.finish().0
    }

    #[test]
    fn longest_record_fits_in_a_batch() {
        let record = vec![7; RECORD_BYTES_MAX];
        assert!(BatchBuilder::new(1, 1, &[0; 32]).has_room_for(&record));
    }

    #[test]
    fn another_format_version_is_named() {
        let mut bytes = build(1, 1, &[0; 32], &[vec![1]]);
        bytes[0] = 9;
        assert_eq!(Batch::decode(&bytes), Err(BatchError::UnknownFormat(9)));
    }

    proptest! {
        #[test]
        fn what_was_built_is_read_back(
            sequence: u64,
            first: u64,
            previous: [u8; 32],
            records in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..40),
        ) {
            let bytes = build(sequence, first, &previous, &records);
            let batch = Batch::decode(&bytes).unwrap();
            prop_assert_eq!(batch.sequence, sequence);
            prop_assert_eq!(batch.first_position, first);
            prop_assert_eq!(batch.previous, previous);
            prop_assert_eq!(declared_previous(&bytes), Some(previous));
            prop_assert_eq!(batch.records, records);
        }

        #[test]
        fn arbitrary_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(Batch::decode(&bytes).is_err());
        }

        #[test]
        fn arbitrary_content_under_a_good_checksum_does_not_panic(
            mut content in prop::collection::vec(any::<u8>(), 57..300),
        ) {
            content[0] = BATCH_FORMAT;
            let length = (content.len() + HASH_BYTES) as u32;
            content[1..5].copy_from_slice(&length.to_be_bytes());
            let hash = sha256(&content);
            content.extend(hash);
            let _ = Batch::decode(&content);
        }

        #[test]
        fn any_changed_or_missing_byte_is_refused(
            records in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 1..10),
            at: prop::sample::Index,
            flip in 1_u8..,
        ) {
            let bytes = build(3, 5, &[1; 32], &records);
            let mut flipped = bytes.clone();
            let at = at.index(bytes.len());
            flipped[at] ^= flip;
            prop_assert!(Batch::decode(&flipped).is_err());
            prop_assert!(Batch::decode(&bytes[..at]).is_err());
        }
    }
}
