//! The way to a running coordinator; every step has a deadline.

use std::path::PathBuf;
use std::time::Duration;

use tandem_proto::v1::operator_service_client::OperatorServiceClient;
use tandem_proto::v1::purchase_service_client::PurchaseServiceClient;
use tonic::metadata::AsciiMetadataValue;
use tonic::transport::Channel;
use tonic::{Request, Response, Status};

use super::address::{self, At};
use super::credentials::Credentials;
use super::output::{Output, clean};
use super::{VerbFailure, person, status, time};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const TIMEOUT_MIN: Duration = Duration::from_millis(1);
const TIMEOUT_MAX: Duration = Duration::from_secs(3_600);

/// A transaction of 1,000 purchases with 100 items each is shown whole.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// How every client verb asks and prints.
#[derive(Debug, clap::Args)]
pub(super) struct Common {
    /// How long to wait for an answer
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = timeout)]
    timeout: Duration,
    /// How to print data
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
    #[command(flatten)]
    credentials: Box<Credentials>,
}

/// Arguments of an operator's verb.
#[derive(Debug, clap::Args)]
pub(super) struct Admin {
    /// The coordinator's admin listener: http://HOST:PORT, https://HOST:PORT or unix:PATH
    ///
    /// Without it, and without --config: the only socket /run/tandem/*/admin.sock that there is, else
    /// http://127.0.0.1:7651.
    #[arg(long = "admin", env = "TANDEM_ADMIN", value_name = "URL", value_parser = At::parse)]
    at: Option<At>,
    /// The coordinator's configuration file, which says where its admin listener is
    #[arg(long, value_name = "FILE", conflicts_with = "at")]
    config: Option<PathBuf>,
    #[command(flatten)]
    pub common: Common,
}

/// Arguments of a client's verb.
#[derive(Debug, clap::Args)]
pub(super) struct Server {
    /// The coordinator's listener for clients
    #[arg(
        long = "server",
        env = "TANDEM_SERVER",
        value_name = "URL",
        default_value = "http://127.0.0.1:7650",
        value_parser = At::parse
    )]
    at: At,
    #[command(flatten)]
    pub common: Common,
}

/// A connection of an operator's, for many calls, also at once.
pub(super) struct Connected<'a> {
    target: Target<'a>,
    client: OperatorServiceClient<Channel>,
}

impl Admin {
    /// Makes one call as an operator.
    pub(super) async fn call<Q, A>(
        &self,
        question: Q,
        call: impl AsyncFnOnce(
            &mut OperatorServiceClient<Channel>,
            Request<Q>,
        ) -> Result<Response<A>, Status>,
    ) -> Result<A, VerbFailure> {
        self.connect().await?.call(question, call).await
    }

    /// Where the coordinator is: as the command line says, or as is found.
    fn at(&self) -> Result<At, VerbFailure> {
        match (&self.at, &self.config) {
            (Some(at), _) => Ok(at.clone()),
            (None, Some(config)) => address::of_config(config),
            (None, None) => address::found(),
        }
    }

    /// Who acts: as he is named, else as the environment says. A unix socket tells the coordinator his user
    /// where neither does.
    pub(super) fn person(&self, named: Option<&str>) -> Result<String, VerbFailure> {
        match person::or_default(named) {
            Err(VerbFailure::Usage(_)) if self.at()?.is_socket() => Ok(String::new()),
            person => person,
        }
    }

    /// Connects.
    pub(super) async fn connect(&self) -> Result<Connected<'_>, VerbFailure> {
        let target = Target {
            role: "the coordinator's admin listener",
            flag: "--admin (or TANDEM_ADMIN)",
            at: self.at()?,
            common: &self.common,
            authorization: self.common.credentials.authorization()?,
        };
        let channel = target.connect().await?;
        let client =
            OperatorServiceClient::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX);
        Ok(Connected { target, client })
    }
}

impl Connected<'_> {
    /// Makes one call.
    pub(super) async fn call<Q, A>(
        &self,
        question: Q,
        call: impl AsyncFnOnce(
            &mut OperatorServiceClient<Channel>,
            Request<Q>,
        ) -> Result<Response<A>, Status>,
    ) -> Result<A, VerbFailure> {
        let mut client = self.client.clone();
        let target = &self.target;
        target.answer(call(&mut client, target.request(question)).await)
    }
}

impl Server {
    /// Makes one call as a client.
    pub(super) async fn call<Q, A>(
        &self,
        question: Q,
        call: impl AsyncFnOnce(
            &mut PurchaseServiceClient<Channel>,
            Request<Q>,
        ) -> Result<Response<A>, Status>,
    ) -> Result<A, VerbFailure> {
        let target = Target {
            role: "the coordinator",
            flag: "--server (or TANDEM_SERVER)",
            at: self.at.clone(),
            common: &self.common,
            authorization: self.common.credentials.authorization()?,
        };
        let mut client = PurchaseServiceClient::new(target.connect().await?);
        target.answer(call(&mut client, target.request(question)).await)
    }
}

struct Target<'a> {
    role: &'static str,
    flag: &'static str,
    at: At,
    common: &'a Common,
    authorization: Option<AsciiMetadataValue>,
}

impl Target<'_> {
    async fn connect(&self) -> Result<Channel, VerbFailure> {
        let endpoint = self.common.credentials.endpoint(&self.at)?;
        let cause = match tokio::time::timeout(CONNECT_TIMEOUT, endpoint.connect()).await {
            Ok(Ok(channel)) => return Ok(channel),
            Ok(Err(error)) => clean(&status::causes(&error)),
            Err(_) => format!("no connection within {}", time::span(CONNECT_TIMEOUT)),
        };
        Err(VerbFailure::Unreachable {
            role: self.role,
            endpoint: self.at.to_string(),
            flag: self.flag,
            cause,
        })
    }

    fn request<Q>(&self, question: Q) -> Request<Q> {
        let mut request = Request::new(question);
        request.set_timeout(self.common.timeout);
        if let Some(authorization) = &self.authorization {
            let metadata = request.metadata_mut();
            metadata.insert("authorization", authorization.clone());
        }
        request
    }

    fn answer<A>(&self, answer: Result<Response<A>, Status>) -> Result<A, VerbFailure> {
        match answer {
            Ok(response) => Ok(response.into_inner()),
            Err(status) if status::is_lost(&status) => Err(VerbFailure::NoAnswer {
                role: self.role,
                endpoint: self.at.to_string(),
                timeout: self.common.timeout,
                cause: status::lost(&status),
            }),
            Err(status) => Err(VerbFailure::Refused(Box::new(status))),
        }
    }
}

fn timeout(text: &str) -> Result<Duration, String> {
    let timeout = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if (TIMEOUT_MIN..=TIMEOUT_MAX).contains(&timeout) {
        Ok(timeout)
    } else {
        Err("must be 1ms to 1h".to_owned())
    }
}
