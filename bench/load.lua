-- The requests of workload.py as a script of wrk. Arguments: a file with one token per line, the number of tasks of a
-- user, the seed, the weights of the five operations.
local tokens, tasks, weights = {}, 0, {}

function init(arguments)
  for token in io.lines(arguments[1]) do
    tokens[#tokens + 1] = "Authorization: Bearer " .. token .. "\r\n"
  end
  tasks = tonumber(arguments[2])
  math.randomseed(tonumber(arguments[3]))
  local sum = 0
  for operation = 1, 5 do
    sum = sum + tonumber(arguments[operation + 3])
    weights[operation] = sum
  end
end

-- Replaces wrk.format, which is several times slower.
local function format(method, path, token, body)
  local head = method .. " " .. path .. " HTTP/1.1\r\nHost: 127.0.0.1\r\n" .. token
  if not body then
    return head .. "\r\n"
  end
  return head .. "Content-Type: application/json\r\nContent-Length: " .. #body .. "\r\n\r\n" .. body
end

function request()
  local user, chance = math.random(#tokens), math.random(100)
  local list = "/api/user-" .. user .. "/tasks"
  local task = list .. "/" .. math.random(0, tasks - 1) * #tokens + user
  if chance <= weights[1] then
    return format("GET", task, tokens[user])
  elseif chance <= weights[2] then
    return format("GET", list .. "?limit=50", tokens[user])
  elseif chance <= weights[3] then
    return format("POST", list, tokens[user], '{"title": "Buy milk", "description": "Two litres"}')
  elseif chance <= weights[4] then
    return format("PUT", task, tokens[user], '{"title": "Buy oat milk", "description": null}')
  end
  return format("PATCH", task .. "/complete", tokens[user], '{"completed": true}')
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    'RESULT {"requests": %d, "seconds": %f, "errors": %d, "p50": %f, "p99": %f}\n',
    summary.requests,
    summary.duration / 1e6,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout,
    latency:percentile(50) / 1e3,
    latency:percentile(99) / 1e3
  ))
end
