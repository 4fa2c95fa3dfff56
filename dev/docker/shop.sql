-- The demo's shop, and the role that the producer reads it with. Run once, in the new database.
\set ON_ERROR_STOP on
\getenv role PRODUCER_DATABASE_USER
\getenv password PRODUCER_DATABASE_PASSWORD

CREATE ROLE :"role" LOGIN REPLICATION PASSWORD :'password';

CREATE TABLE customers (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    email text NOT NULL UNIQUE,
    since timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE products (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    price numeric(10, 2) NOT NULL CHECK (price > 0),
    tags text[] NOT NULL DEFAULT '{}'
);

CREATE TABLE orders (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer bigint NOT NULL REFERENCES customers,
    product bigint NOT NULL REFERENCES products,
    quantity integer NOT NULL CHECK (quantity > 0),
    state text NOT NULL DEFAULT 'new',
    placed timestamptz NOT NULL DEFAULT now()
);

INSERT INTO customers (name, email)
SELECT 'Customer ' || n, 'customer' || n || '@shop.example' FROM generate_series(1, 50) AS n;

INSERT INTO products (name, price, tags)
SELECT 'Product ' || n, n * 1.5 + 0.49, ARRAY['demo', 'aisle ' || n % 3] FROM generate_series(1, 20) AS n;

GRANT SELECT ON ALL TABLES IN SCHEMA public TO :"role";

-- One moment of trade: a new order; an earlier one moves on; now and then one is cancelled and deleted.
CREATE PROCEDURE trade() LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO orders (customer, product, quantity)
    SELECT 1 + floor(random() * 50), 1 + floor(random() * 20), 1 + floor(random() * 5);
    UPDATE orders SET state = 'shipped'
    WHERE id = (SELECT id FROM orders WHERE state = 'new' ORDER BY placed LIMIT 1 OFFSET 5);
    IF random() < 0.1 THEN
        DELETE FROM orders WHERE id = (SELECT id FROM orders WHERE state = 'new' ORDER BY placed DESC LIMIT 1);
    END IF;
END
$$;
