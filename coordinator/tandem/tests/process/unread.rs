//! Calls that no service can read, of every method of every listener: a code and a reason that are
//! documented, and the field where it can be known.

use std::collections::HashMap;

use http_body_util::Full;
use prost::Message;
use prost_types::field_descriptor_proto::Type;
use prost_types::{DescriptorProto, FileDescriptorSet};
use tandem_proto::FILE_DESCRIPTOR_SET;
use tonic::body::Body;
use tonic::codegen::Bytes;
use tonic::codegen::http::{Request, Response};
use tonic::transport::Channel;
use tonic::{Code, Status};
use tonic_types::StatusExt;
use tower::{Service, ServiceExt};

use super::role::{Place, ROLES, Role, channel};

/// Longer than any listener takes a message, in bytes.
const TOO_LONG: usize = 9 * 1024 * 1024;

/// Depth to which fields of messages within messages are tried.
const DEPTH_MAX: usize = 4;

/// A method, and what it is called with.
struct Method {
    path: String,
    input: String,
    /// Which of the role's listeners serves it.
    listener: usize,
}

/// The contract, as it is served.
struct Contract {
    messages: HashMap<String, DescriptorProto>,
    methods: Vec<Method>,
}

impl Contract {
    fn of(role: Role) -> Contract {
        let mut contract = Contract {
            messages: HashMap::new(),
            methods: Vec::new(),
        };
        for set in [FILE_DESCRIPTOR_SET, tonic_health::pb::FILE_DESCRIPTOR_SET] {
            contract.read(role, set);
        }
        assert!(contract.methods.len() > 5);
        contract
    }

    fn read(&mut self, role: Role, set: &[u8]) {
        for file in FileDescriptorSet::decode(set).unwrap().file {
            let package = file.package().to_owned();
            for message in file.message_type {
                let name = format!(".{package}.{}", message.name());
                self.messages.insert(name, message);
            }
            for service in file.service {
                let listener = match (role, service.name()) {
                    (_, "Health") | (Role::Coordinator, "PurchaseService") => 0,
                    (Role::Coordinator, "OperatorService") => 1,
                    (Role::Sidecar, "ParticipantService") => 0,
                    _ => continue,
                };
                for method in &service.method {
                    self.methods.push(Method {
                        path: format!("/{package}.{}/{}", service.name(), method.name()),
                        input: method.input_type().to_owned(),
                        listener,
                    });
                }
            }
        }
    }

    /// Every text of a message, by its path, in a message that holds nothing else and in which it is no
    /// text.
    fn texts(&self, message: &str, depth: usize) -> Vec<(String, Vec<u8>)> {
        let mut texts = Vec::new();
        let Some(message) = self.messages.get(message).filter(|_| depth < DEPTH_MAX) else {
            return texts;
        };
        for field in &message.field {
            // Of one of several kinds only the choice is known.
            let name = match field.oneof_index.filter(|_| !field.proto3_optional()) {
                Some(index) => message.oneof_decl[usize::try_from(index).unwrap()].name(),
                None => field.name(),
            };
            let name = name.to_owned();
            match field.r#type() {
                Type::String => texts.push((name, delimited(field.number(), b"\xff"))),
                Type::Message => {
                    for (path, bytes) in self.texts(field.type_name(), depth + 1) {
                        texts.push((format!("{name}.{path}"), delimited(field.number(), &bytes)));
                    }
                }
                _ => {}
            }
        }
        texts
    }
}

/// A field with a length (protobuf's encoding, wire type 2).
fn delimited(number: i32, bytes: &[u8]) -> Vec<u8> {
    let mut field = Vec::new();
    prost::encoding::encode_varint(u64::try_from(number << 3 | 2).unwrap(), &mut field);
    prost::encoding::encode_varint(bytes.len() as u64, &mut field);
    field.extend_from_slice(bytes);
    field
}

/// A message in its frame ("gRPC over HTTP2", Length-Prefixed-Message).
fn framed(flag: u8, message: &[u8]) -> Vec<u8> {
    let mut frame = vec![flag];
    frame.extend_from_slice(&u32::try_from(message.len()).unwrap().to_be_bytes());
    frame.extend_from_slice(message);
    frame
}

/// Calls a method with whatever bytes.
async fn call(
    channel: &mut Channel,
    path: &str,
    headers: &[(&'static str, String)],
    body: Vec<u8>,
) -> Response<Body> {
    let mut request = Request::post(format!("http://tandem{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    let body = Body::new(Full::new(Bytes::from(body)));
    let request = request.body(body).unwrap();
    channel.ready().await.unwrap().call(request).await.unwrap()
}

#[track_caller]
fn assert_told(answer: &Response<Body>, what: &str, code: Code, reason: &str) -> Status {
    let status = Status::from_header_map(answer.headers());
    let status = status.unwrap_or_else(|| panic!("{what}: no status in {answer:?}"));
    let told = status.get_details_error_info();
    let told = told.unwrap_or_else(|| panic!("{what}: no reason in {status:?}"));
    assert_eq!(
        (status.code(), told.reason.as_str(), told.domain.as_str()),
        (code, reason, "tandem"),
        "{what}: {status:?}"
    );
    assert!(!status.message().is_empty(), "{what}");
    status
}

/// A role with a connection to each of its listeners.
async fn connected(place: &Place) -> Vec<Channel> {
    let mut channels = Vec::new();
    for port in place.listeners() {
        channels.push(channel(port).await.unwrap());
    }
    channels
}

#[tokio::test(flavor = "multi_thread")]
async fn text_that_is_none_is_named_by_its_field() {
    for role in ROLES {
        let place = Place::new(role);
        let mut process = place.start(std::process::Stdio::null());
        place.answers().await;
        let mut channels = connected(&place).await;
        let contract = Contract::of(role);
        let mut tried = 0;
        for method in &contract.methods {
            for (field, message) in contract.texts(&method.input, 0) {
                let what = format!("{} {field}", method.path);
                let channel = &mut channels[method.listener];
                let answer = call(channel, &method.path, &[], framed(0, &message)).await;
                let status =
                    assert_told(&answer, &what, Code::InvalidArgument, "MALFORMED_MESSAGE");
                let named = status.get_details_bad_request().unwrap().field_violations;
                assert_eq!(named[0].field, field, "{what}");
                tried += 1;
            }
        }
        assert!(tried > 10, "{role:?}: {tried}");
        process.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_read_has_a_documented_answer() {
    for role in ROLES {
        let place = Place::new(role);
        let mut process = place.start(std::process::Stdio::null());
        place.answers().await;
        let mut channels = connected(&place).await;
        let gzip = [("grpc-encoding", "gzip".to_owned())];
        let (plain, invalid) = (&[][..], Code::InvalidArgument);
        let mut cases = vec![
            (
                "no field",
                plain,
                framed(0, b"\xff"),
                invalid,
                "MALFORMED_MESSAGE",
            ),
            (
                "no message",
                plain,
                Vec::new(),
                invalid,
                "MALFORMED_MESSAGE",
            ),
            (
                "a part of a frame",
                plain,
                b"\0\0\0".to_vec(),
                invalid,
                "MALFORMED_MESSAGE",
            ),
            (
                "a part of a message",
                plain,
                b"\0\0\0\0\x09abc".to_vec(),
                invalid,
                "MALFORMED_MESSAGE",
            ),
            (
                "no such flag",
                plain,
                framed(7, b""),
                invalid,
                "MALFORMED_MESSAGE",
            ),
            (
                "compressed by nothing",
                plain,
                framed(1, b""),
                invalid,
                "MALFORMED_MESSAGE",
            ),
            (
                "gzip",
                &gzip[..],
                framed(1, b""),
                Code::Unimplemented,
                "COMPRESSED",
            ),
        ];
        let mut length = framed(0, b"");
        length[1..5].copy_from_slice(&u32::MAX.to_be_bytes());
        cases.push(("a length", plain, length, invalid, "MESSAGE_TOO_LONG"));
        for method in &Contract::of(role).methods {
            let channel = &mut channels[method.listener];
            for (what, headers, body, code, reason) in &cases {
                let what = format!("{} {what}", method.path);
                let answer = call(channel, &method.path, headers, body.clone()).await;
                assert_told(&answer, &what, *code, reason);
            }
        }
        for channel in &mut channels {
            for path in [
                "/tandem.v1.PurchaseService/BuyAll",
                "/grpc.nothing.V9/Do",
                "/",
            ] {
                let answer = call(channel, path, &[], framed(0, b"")).await;
                assert_told(&answer, path, Code::Unimplemented, "UNKNOWN_METHOD");
            }
        }
        // Nobody is the worse for it.
        place.answers_many(1).await;
        process.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn message_over_the_limit_is_told_so_and_too_many_headers_are_refused() {
    let place = Place::new(Role::Coordinator);
    let mut process = place.start(std::process::Stdio::null());
    place.answers().await;
    let mut channels = connected(&place).await;
    let submit = "/tandem.v1.PurchaseService/SubmitPurchase";
    let list = "/tandem.v1.OperatorService/ListTransactions";
    for (channel, path) in channels.iter_mut().zip([submit, list]) {
        let long = framed(0, &delimited(1, &vec![b'a'; TOO_LONG]));
        let answer = call(channel, path, &[], long).await;
        let status = assert_told(&answer, path, Code::InvalidArgument, "MESSAGE_TOO_LONG");
        assert!(status.message().contains("the limit is"), "{status:?}");
        // HTTP's own answer, which a client shows as UNKNOWN.
        let headers = [("x-much", "a".repeat(17 * 1024))];
        let answer = call(channel, path, &headers, framed(0, b"")).await;
        assert_eq!(answer.status().as_u16(), 431);
    }
    place.answers_many(1).await;
    process.stop().await;
}
