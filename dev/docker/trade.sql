-- The demo's customers: they trade until the container stops.
\set ON_ERROR_STOP on
CALL trade() \watch 1
