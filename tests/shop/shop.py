"""How the shop sells without tandem: insert, then decrement.

A crash between the two leaves an order without its deduction, and two buyers may both see the last lamp.
"""

import json

import pymysql
import redis

DIGITS = {"EUR": 2, "USD": 2, "JPY": 0}


def field(line):
    """Of a product's hash: its stock in the line's warehouse."""
    return "stock-" + line.get("warehouse", "tokyo")


class OutOfStock(Exception):
    """There is less of it than was ordered."""


class Shop:
    def __init__(self):
        self.db = pymysql.connect(host="127.0.0.1", port=3306, user="root", database="shop")
        self.kv = redis.Redis(host="127.0.0.1", port=6379, decode_responses=True)

    def place_order(self, order):
        """Gives the order's number."""
        tracked = [line for line in order["lines"] if self.kv.exists(f"product:{line['sku']}")]
        for line in tracked:
            if int(self.kv.hget(f"product:{line['sku']}", field(line))) < line["quantity"]:
                raise OutOfStock(line["sku"])
        with self.db.cursor() as sql:
            number = self.insert(sql, order)
        self.db.commit()
        for line in tracked:
            self.kv.hincrby(f"product:{line['sku']}", field(line), -line["quantity"])
        return number

    def insert(self, sql, order):
        unit = 10 ** DIGITS[order["currency"]]
        total = sum(line["quantity"] * line["price_minor"] for line in order["lines"]) / unit
        sql.execute("SELECT id FROM customers WHERE ref = %s", (order["customer"],))
        (customer,) = sql.fetchone()
        sql.execute(
            "INSERT INTO orders (customer_id, cart_id, email, address, details, total, currency, coupon) "
            "VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
            (customer, order["cart"], order["email"], order["address"], json.dumps(order["details"]), total,
             order["currency"], order.get("coupon")),
        )
        number = sql.lastrowid
        for position, line in enumerate(order["lines"], 1):
            sql.execute(
                "INSERT INTO order_lines (order_id, position, sku, warehouse, quantity, price) "
                "VALUES (%s, %s, %s, %s, %s, %s)",
                (number, position, line["sku"], line.get("warehouse"), line["quantity"],
                 line["price_minor"] / unit),
            )
        sql.execute("UPDATE carts SET state = 'ordered' WHERE id = %s", (order["cart"],))
        sql.execute(
            "INSERT INTO authorized_payments (order_id, reference, amount) VALUES (%s, %s, %s)",
            (number, order["payment"], total),
        )
        return number


# Of customer C-0, whose cart this is.
ORDER = {
    "customer": "C-0",
    "cart": 1,
    "email": "cleo@example.org",
    "address": "Straße 7, 12345 Köln",
    "payment": "card-1",
    "details": {"gift": True},
    "currency": "EUR",
    "coupon": "SAVE3",
    "lines": [
        {"sku": "lamp", "quantity": 2, "price_minor": 1999},
        {"sku": "lamp", "quantity": 1, "price_minor": 1499, "warehouse": "koeln"},
        {"sku": "shipping", "quantity": 1, "price_minor": 490},
    ],
}

if __name__ == "__main__":
    print("order", Shop().place_order(ORDER))
