# redis.sh PRELOAD PERCENT: a server with the library, filled and changed by a script that it runs itself, so that
# nearly all of the time is the server's. Prints a digest of all the data.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
socket=$folder/redis.socket
# Debian's redis is linked with jemalloc: without a preloaded library it would not be libc's malloc.
LD_PRELOAD=$1 redis-server --port 0 --unixsocket "$socket" --save '' --appendonly no --daemonize no \
  --enable-debug-command local --lua-time-limit 0 --dir "$folder" --io-threads 1 >"$folder/log" 2>&1 &
server=$!
ask() { redis-cli -s "$socket" "$@"; }
tries=0
until ask ping >/dev/null 2>&1; do
  tries=$((tries + 1))
  if [ "$tries" -gt 200 ] || ! kill -0 "$server" 2>/dev/null; then
    echo "redis-server did not start: $(tail -n 1 "$folder/log")" >&2
    exit 1
  fi
  sleep 0.01
done
ask eval '
  local scale = tonumber(ARGV[1])
  for i = 1, 600 * scale do
    redis.call("set", "key:" .. i, string.rep("v", i % 300))
    redis.call("rpush", "list:" .. i % 500, "element " .. i)
    redis.call("hset", "hash:" .. i % 700, "field" .. i, i * 3)
    if i % 4 == 0 then redis.call("del", "key:" .. i / 2) end
    redis.call("append", "key:" .. i, "more")
  end
  return redis.call("dbsize")' 0 "$2"
ask debug digest
ask shutdown nosave
wait "$server"
