"""A client that knows nothing of tandem but an address: all else comes from gRPC reflection.

Usage: client.py ADDRESS. The stock must hold 10 units of tea. Exits with 0 if every answer was as
purchase.proto promises.

Usage: client.py several ADDRESS ADDRESS. The first must refuse connections. Exits with 0 if a channel
to both is served with an authority of its own, and is told INTERNAL without one.
"""

import sys

import grpc
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from google.rpc import error_details_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)
from grpc_status import rpc_status

TIMEOUT_S = 20


class Purchases:
    """PurchaseService, built from its descriptor."""

    def __init__(self, channel):
        pool = DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
        self._service = pool.FindServiceByName("tandem.v1.PurchaseService")
        self._channel = channel

    def call(self, name, **fields):
        method = self._service.methods_by_name[name]
        request = GetMessageClass(method.input_type)(**fields)
        stub = self._channel.unary_unary(
            f"/{self._service.full_name}/{name}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=GetMessageClass(method.output_type).FromString,
        )
        return stub(request, timeout=TIMEOUT_S)

    def submit(self, purchase_id, quantity, sku="tea"):
        return self.call(
            "SubmitPurchase",
            purchase_id=purchase_id,
            customer_id="ann@example.org",
            currency="EUR",
            items=[{"sku": sku, "quantity": quantity, "unit_price_minor": 1}],
        ).purchase


def refusal(act):
    """The code and the details of a call that must fail."""
    try:
        answer = act()
    except grpc.RpcError as error:
        details = {}
        for packed in rpc_status.from_call(error).details:
            for kind in (error_details_pb2.ErrorInfo, error_details_pb2.BadRequest):
                if packed.Is(kind.DESCRIPTOR):
                    details[kind.DESCRIPTOR.name] = kind.FromString(packed.value)
        return error.code(), details
    raise AssertionError(f"it was not refused: {answer}")


def expect(what, found, wanted):
    print(f"{what}: {found}")
    if found != wanted:
        raise AssertionError(f"{what}: wanted {wanted}")


def main(address):
    with grpc.insecure_channel(address) as channel:
        purchases = Purchases(channel)

        made = purchases.submit("py-1", 2)
        expect("py-1 is applied", made.applied, True)
        again = purchases.submit("py-1", 2)
        expect("py-1 again is the same transaction", again, made)

        for _ in range(2):
            code, details = refusal(lambda: purchases.submit("py-2", 9))
            expect("py-2 is refused", code, grpc.StatusCode.FAILED_PRECONDITION)
            expect("its reason", details["ErrorInfo"].reason, "INSUFFICIENT_STOCK")
            expect("its domain", details["ErrorInfo"].domain, "tandem")

        code, details = refusal(lambda: purchases.submit("py-1", 3))
        expect("py-1 with another content", code, grpc.StatusCode.ALREADY_EXISTS)
        expect("its reason", details["ErrorInfo"].reason, "PURCHASE_ID_REUSED")

        code, details = refusal(lambda: purchases.submit("py-3", 0))
        expect("no units", code, grpc.StatusCode.INVALID_ARGUMENT)
        fields = [broken.field for broken in details["BadRequest"].field_violations]
        expect("the field", fields, ["items[0].quantity"])

        found = purchases.call("GetPurchase", purchase_id="py-1").purchase
        expect("py-1 is found", found, made)
        # 2: PURCHASE_VIEW_FULL.
        found = purchases.call("GetPurchase", purchase_id="py-1", view=2).purchase
        lines = [(item.sku, item.quantity) for item in found.content.items]
        expect("its content", lines, [("tea", 2)])
        expect("its customer", found.content.customer_id, "ann@example.org")
        found = purchases.call("GetPurchase", purchase_id="py-2", view=2).purchase
        expect("py-2 has no content", found.HasField("content"), False)


def several(addresses):
    target = "ipv4:" + ",".join(addresses)
    with grpc.insecure_channel(target) as channel:
        find = channel.unary_unary("/tandem.v1.PurchaseService/GetPurchase")
        try:
            find(b"", timeout=TIMEOUT_S)
            raise AssertionError("both addresses as one authority are served by now")
        except grpc.RpcError as error:
            expect("without an authority of its own", error.code(), grpc.StatusCode.INTERNAL)
    options = [("grpc.default_authority", "tandem")]
    with grpc.insecure_channel(target, options=options) as channel:
        made = Purchases(channel).submit("py-1", 2)
        expect("py-1 is applied", made.applied, True)


if __name__ == "__main__":
    if sys.argv[1] == "several":
        several(sys.argv[2:])
    else:
        main(sys.argv[1])
