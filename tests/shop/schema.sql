-- A shop's tables as they were before anybody there had heard of tandem.

CREATE TABLE customers (
  id INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  ref VARCHAR(40) NOT NULL UNIQUE,
  name VARCHAR(100) NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

CREATE TABLE carts (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  customer_id INT UNSIGNED NOT NULL,
  state ENUM('open', 'ordered') NOT NULL DEFAULT 'open',
  FOREIGN KEY (customer_id) REFERENCES customers (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

CREATE TABLE orders (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  customer_id INT UNSIGNED NOT NULL,
  cart_id BIGINT UNSIGNED NOT NULL,
  email VARCHAR(120) NOT NULL,
  address VARCHAR(250) NOT NULL,
  details JSON NULL,
  total DECIMAL(12,2) NOT NULL,
  currency ENUM('EUR', 'USD', 'JPY') NOT NULL,
  coupon VARCHAR(20) NULL,
  state ENUM('new', 'packed', 'sent') NOT NULL DEFAULT 'new',
  ordered_at DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP,
  KEY (ordered_at),
  FOREIGN KEY (customer_id) REFERENCES customers (id),
  FOREIGN KEY (cart_id) REFERENCES carts (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

CREATE TABLE order_lines (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  order_id BIGINT UNSIGNED NOT NULL,
  position SMALLINT UNSIGNED NOT NULL,
  sku VARCHAR(128) NOT NULL,
  warehouse VARCHAR(20) NULL,
  quantity INT UNSIGNED NOT NULL,
  price DECIMAL(12,2) NOT NULL,
  UNIQUE (order_id, position),
  FOREIGN KEY (order_id) REFERENCES orders (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

CREATE TABLE payments (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  order_id BIGINT UNSIGNED NOT NULL,
  reference VARCHAR(60) NOT NULL UNIQUE,
  amount DECIMAL(12,2) NOT NULL,
  state ENUM('authorized', 'captured') NOT NULL DEFAULT 'authorized',
  FOREIGN KEY (order_id) REFERENCES orders (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

CREATE VIEW authorized_payments AS
  SELECT order_id, reference, amount FROM payments WHERE state = 'authorized';

CREATE TABLE order_audit (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  order_id BIGINT UNSIGNED NOT NULL,
  total DECIMAL(12,2) NOT NULL,
  noted_at DATETIME NOT NULL,
  KEY (order_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

CREATE TRIGGER orders_are_noted AFTER INSERT ON orders FOR EACH ROW
  INSERT INTO order_audit (order_id, total, noted_at) VALUES (NEW.id, NEW.total, NOW());
