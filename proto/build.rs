//! Compiles `tandem/v1/*.proto` with protox, so that nobody needs a protoc.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message;

fn main() -> Result<(), Box<dyn Error>> {
    let files = [
        "tandem/v1/purchase.proto",
        "tandem/v1/participant.proto",
        "tandem/v1/operator.proto",
    ];
    println!("cargo:rerun-if-changed=tandem");
    let descriptors = protox::compile(files, ["."])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("tandem.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure()
        .btree_map(".tandem.v1.SubmitPurchaseRequest.attributes")
        .btree_map(".tandem.v1.PurchaseContent.attributes")
        .btree_map(".tandem.v1.Entry.attributes")
        .compile_fds(descriptors)?;
    Ok(())
}
