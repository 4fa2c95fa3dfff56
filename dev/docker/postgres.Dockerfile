# PostgreSQL with wal2json, for docker-compose.yml.
FROM postgres:15

# Not pinned: the image's own suite keeps server and plugin in step.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends "postgresql-${PG_MAJOR}-wal2json" \
    && rm -rf /var/lib/apt/lists/*

COPY --chmod=755 allow-wal2json.sh /usr/local/bin/allow-wal2json
COPY shop.sql /docker-entrypoint-initdb.d/
COPY trade.sql /shop/

ENTRYPOINT ["allow-wal2json"]
CMD ["postgres"]
