//! `tandem purchase get ID`.

use tandem_proto::v1::{GetPurchaseRequest, PurchaseView};

use super::connection::Server;
use super::content::Shown;
use super::{VerbFailure, purchase};

/// Arguments of `tandem purchase get`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The purchase's id
    #[arg(value_name = "ID")]
    purchase: String,
    #[command(flatten)]
    shown: Shown,
    #[command(flatten)]
    server: Server,
}

impl Args {
    pub(super) async fn run(self) -> Result<(), VerbFailure> {
        let question = GetPurchaseRequest {
            purchase_id: self.purchase,
            view: PurchaseView::Full.into(),
        };
        let answer = self
            .server
            .call(question, async |client, q| client.get_purchase(q).await)
            .await?;
        purchase::tell(answer.purchase, self.server.common.output, self.shown)
    }
}
