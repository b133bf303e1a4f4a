//! The wire contract of tandem, generated from `tandem/v1/*.proto`.

/// Package `tandem.v1`.
#[allow(missing_docs, unreachable_pub, clippy::all)]
pub mod v1 {
    tonic::include_proto!("tandem.v1");
}

/// The compiled `FileDescriptorSet` of all files of the contract, for gRPC reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/tandem.bin"));
