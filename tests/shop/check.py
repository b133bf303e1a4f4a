#!/usr/bin/env python3
"""Compares a shop's stores with what its clients were told, cell by cell and unit by unit.

Usage: check.py --mysql PORT --redis PORT --before FILE --told FILE

It knows the shop and nothing of tandem: it reads with the stores' own command line clients (mariadb or mysql,
redis-cli). --before is one JSON document: products (sku, name, price, and stock in each
warehouse), default_warehouse, customers (ref, name), carts
(id, customer), all carts open; hours_east, the zone in which the server's DATETIMEs are. --told has a JSON
document a line for each purchase: the order as it was submitted, the outcome (committed, refused, unknown),
and when it was asked for and answered, in seconds since 1970; noted, if it is there, until when the shop's trigger
may have noted the order, where that was inserted again. An unknown one is looked up: all of it has to be
there, or nothing. Prints each difference; exits with 0 if there is none, with 1 if there are some.
"""

import argparse
import datetime
import json
import shutil
import subprocess
import sys
from collections import Counter
from decimal import Decimal

DIGITS = {"EUR": 2, "USD": 2, "JPY": 0}

# A DATETIME has whole seconds, rounded by one server or cut off by another's NOW().
CLOCK_S = 1

SHOWN_MAX = 100


class Stores:
    """Both stores, by their own clients."""

    def __init__(self, mysql, redis):
        client = shutil.which("mariadb") or shutil.which("mysql")
        self._mysql = [client, "--no-defaults", "-h127.0.0.1", f"-P{mysql}", "-uroot", "--batch", "--raw"]
        self._mysql += ["--skip-column-names", "--default-character-set=utf8mb4", "--quick", "shop"]
        self._redis = ["redis-cli", "-h", "127.0.0.1", "-p", str(redis), "--json"]

    def rows(self, table, columns):
        """Each row as a dictionary; DECIMALs stay exact."""
        sql = f"SELECT JSON_ARRAY({', '.join(columns)}) FROM {table}"
        ran = subprocess.run(self._mysql + ["-e", sql], capture_output=True, check=False)
        if ran.returncode != 0:
            sys.exit(f"{sql}: {ran.stderr.decode()}")
        for line in ran.stdout.decode().splitlines():
            yield dict(zip(columns, json.loads(line, parse_float=Decimal)))

    def redis(self, *command):
        ran = subprocess.run(self._redis + list(command), capture_output=True, check=True)
        return json.loads(ran.stdout)


class Check:
    """Counts what was compared and tells what differs."""

    def __init__(self):
        self.differences = 0
        self.compared = Counter()

    def differs(self, what):
        self.differences += 1
        if self.differences <= SHOWN_MAX:
            print(f"DIFFERS {what}")

    def row(self, where, found, wanted):
        """Compares each cell; a wanted one may be a function that judges it."""
        self.compared["rows"] += 1
        for column, value in wanted.items():
            self.compared["cells"] += 1
            cell = found[column]
            if not (value(cell) if callable(value) else cell == value):
                shown = "a moment of the purchase" if callable(value) else repr(value)
                self.differs(f"{where}: {column} is {cell!r}, not {shown}")


def moment(text, hours_east):
    """Seconds since 1970 of a DATETIME."""
    zone = datetime.timezone(datetime.timedelta(hours=hours_east))
    return datetime.datetime.fromisoformat(text[:19]).replace(tzinfo=zone).timestamp()


def document(cell):
    """What a JSON column holds: MySQL nests it, MariaDB gives its text."""
    return json.loads(cell) if isinstance(cell, str) else cell


def money(minor, currency):
    return Decimal(minor).scaleb(-DIGITS[currency])


def exact(number):
    """A DECIMAL cell, which JSON may give without its point."""
    return Decimal(number)


def by(rows, key):
    """Lists of rows by the value of a column."""
    found = {}
    for row in rows:
        found.setdefault(row[key], []).append(row)
    return found


class Shop:
    """All that the stores hold, and all that they should."""

    def __init__(self, stores, before, told):
        self.before, self.told, self.stores = before, told, stores
        customers = list(stores.rows("customers", ["id", "ref", "name"]))
        self.customers = {row["ref"]: row for row in customers}
        columns = ["id", "ref", "customer_id", "cart_id", "email", "address", "details", "total", "currency"]
        self.orders = list(stores.rows("orders", columns + ["coupon", "state", "ordered_at"]))
        columns = ["id", "order_id", "position", "sku", "warehouse", "quantity", "price"]
        self.lines = by(stores.rows("order_lines", columns), "order_id")
        columns = ["id", "order_id", "reference", "amount", "state"]
        self.payments = by(stores.rows("payments", columns), "order_id")
        columns = ["id", "order_id", "total", "noted_at"]
        self.notes = by(stores.rows("order_audit", columns), "order_id")
        self.carts = {row["id"]: row for row in stores.rows("carts", ["id", "customer_id", "state"])}

    def made(self):
        """The purchases that must be there: by answers, and where there was none by what is there."""
        refs = {row["ref"] for row in self.orders}
        for told in self.told:
            is_there = told["order"]["purchase_id"] in refs
            if told["outcome"] == "committed" or (told["outcome"] == "unknown" and is_there):
                yield told

    def compare(self, check):
        made = list(self.made())
        found = by(self.orders, "ref")
        for told in made:
            ref = told["order"]["purchase_id"]
            rows = found.pop(ref, [])
            if len(rows) != 1:
                check.differs(f"order {ref}: {len(rows)} rows")
                continue
            self.compare_order(check, told, rows[0])
        for ref, rows in found.items():
            check.differs(f"order {ref}: {len(rows)} rows that nobody was promised")
        for name, rest in (("order_lines", self.lines), ("payments", self.payments), ("order_audit", self.notes)):
            for order_id, rows in rest.items():
                check.differs(f"{name}: {len(rows)} rows of order_id {order_id}, which is not wanted")
        self.compare_customers(check)
        self.compare_carts(check, made)
        self.compare_stock(check, made)
        return len(made)

    def compare_order(self, check, told, row):
        order, ref, number = told["order"], told["order"]["purchase_id"], row["id"]
        attributes, currency = order["attributes"], order["currency"]
        total = money(sum(i["quantity"] * i["unit_price_minor"] for i in order["items"]), currency)
        details = attributes.get("details")

        def in_time(cell, until=told["answered"]):
            at = moment(cell, self.before["hours_east"])
            return told["asked"] - CLOCK_S <= at <= until + CLOCK_S

        def noted_in_time(cell):
            return in_time(cell, told.get("noted", told["answered"]))

        row = {**row, "total": exact(row["total"]), "details": document(row["details"])}
        check.row(f"order {ref}", row, {
            "customer_id": self.customers[order["customer_id"]]["id"],
            "cart_id": int(attributes["cart"]),
            "email": attributes["email"],
            "address": attributes["address"],
            "details": None if details is None else json.loads(details),
            "total": total,
            "currency": currency,
            "coupon": attributes.get("coupon"),
            "state": "new",
            "ordered_at": in_time,
        })
        lines = sorted(self.lines.pop(number, []), key=lambda line: line["position"])
        if len(lines) != len(order["items"]):
            check.differs(f"order {ref}: {len(lines)} lines, not {len(order['items'])}")
        for position, (line, item) in enumerate(zip(lines, order["items"]), 1):
            line = {**line, "price": exact(line["price"])}
            check.row(f"line {position} of {ref}", line, {
                "position": position,
                "sku": item["sku"],
                "warehouse": item["pool"] or None,
                "quantity": item["quantity"],
                "price": money(item["unit_price_minor"], currency),
            })
        self.compare_one(check, f"payment of {ref}", self.payments.pop(number, []), "amount", {
            "reference": attributes["payment"],
            "amount": total,
            "state": "authorized",
        })
        self.compare_one(check, f"note of {ref}", self.notes.pop(number, []), "total", {
            "total": total,
            "noted_at": noted_in_time,
        })

    @staticmethod
    def compare_one(check, where, rows, sum_column, wanted):
        if len(rows) != 1:
            check.differs(f"{where}: {len(rows)} rows")
            return
        check.row(where, {**rows[0], sum_column: exact(rows[0][sum_column])}, wanted)

    def compare_customers(self, check):
        wanted = {customer["ref"]: customer["name"] for customer in self.before["customers"]}
        if wanted.keys() != self.customers.keys():
            check.differs(f"customers: {sorted(wanted.keys() ^ self.customers.keys())}")
        for ref in wanted.keys() & self.customers.keys():
            check.row(f"customer {ref}", self.customers[ref], {"name": wanted[ref]})

    def compare_carts(self, check, made):
        ordered = Counter(int(told["order"]["attributes"]["cart"]) for told in made)
        for cart, times in ordered.items():
            if times > 1:
                check.differs(f"cart {cart}: {times} orders")
        if len(self.carts) != len(self.before["carts"]):
            check.differs(f"carts: {len(self.carts)}, not {len(self.before['carts'])}")
        for cart in self.before["carts"]:
            row = self.carts.get(cart["id"])
            if row is None:
                check.differs(f"cart {cart['id']}: it is gone")
                continue
            check.row(f"cart {cart['id']}", row, {
                "customer_id": self.customers[cart["customer"]]["id"],
                "state": "ordered" if cart["id"] in ordered else "open",
            })

    def compare_stock(self, check, made):
        sold = Counter()
        for told in made:
            for item in told["order"]["items"]:
                if item["tracked"]:
                    warehouse = item["pool"] or self.before["default_warehouse"]
                    sold[item["sku"], warehouse] += item["quantity"]
        for product in self.before["products"]:
            sku = product["sku"]
            found = self.stores.redis("HGETALL", f"product:{sku}")
            fields = {"name": product["name"], "price": str(product["price"])}
            for warehouse, units in product["stock"].items():
                gone = sold.pop((sku, warehouse), 0)
                check.compared["units"] += gone
                fields[f"stock-{warehouse}"] = str(units - gone)
            check.row(f"product {sku}", found, fields)
            # What stands beside the shop's own fields has to be named apart from them.
            strange = [name for name in found.keys() - fields.keys() if not name.startswith("witness:")]
            if strange:
                check.differs(f"product {sku}: fields {strange}")
        for (sku, warehouse), units in sold.items():
            check.differs(f"product {sku}: {units} units were sold, and {warehouse} has no such product")
        products = {f"product:{product['sku']}" for product in self.before["products"]}
        others = set(self.stores.redis("KEYS", "product:*")) - products
        if others:
            check.differs(f"products that nobody made: {sorted(others)}")


def main():
    parser = argparse.ArgumentParser()
    for name in ("--mysql", "--redis", "--before", "--told"):
        parser.add_argument(name, required=True)
    given = parser.parse_args()
    with open(given.before, encoding="utf-8") as file:
        before = json.load(file)
    with open(given.told, encoding="utf-8") as file:
        told = [json.loads(line) for line in file]
    check = Check()
    made = Shop(Stores(given.mysql, given.redis), before, told).compare(check)
    outcomes = Counter(one["outcome"] for one in told)
    compared = ", ".join(f"{count} {what}" for what, count in check.compared.items())
    print(f"{len(told)} purchases were submitted, {made} made; answers: {dict(outcomes)}")
    print(f"{check.differences} differences in {compared}")
    sys.exit(0 if check.differences == 0 else 1)


if __name__ == "__main__":
    main()
