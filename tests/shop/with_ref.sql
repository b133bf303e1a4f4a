-- What the guide has the shop add: the id under which its new code buys. Orders of the old code have none.

ALTER TABLE orders
  ADD COLUMN ref VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NULL,
  ADD UNIQUE KEY (ref);
