-- What wrk sends, and what it makes of the answers.
--
--   wrk -s load.lua URL -- STATUSES get PATH HEADER...
--   wrk -s load.lua URL -- STATUSES book SHOW SHOWS SEAT SEATS TIMES BODY KEYS HEADER...
--       in the shows from id SHOW on, the seats from number SEAT on, each TIMES times by each of
--       wrk's threads; BODY with the seat for its %d; with an Idempotency-Key that begins with KEYS
--       unless that is empty; for the callers that the headers stand for in turn
--
-- STATUSES are those that are right ("201,409"). Each of wrk's threads runs this file by itself;
-- `setup` and `done` run once, over all of them.

local threads = {}

function setup(thread)
  thread:set("number", #threads)
  table.insert(threads, thread)
end

failed, first_failure = 0, ""
local sent, share = 0, 0
local right, shows, seats, headers, template, keys = {}, {}, {}, {}, "", ""

-- One seat of each show, then the next seat of each.
local function book()
  local turn = math.floor(sent / seats.times)
  local row = math.floor(turn / shows.count)
  if row >= share then
    error("out of seats: raise MAX_RATE in benchmarks/data.py")
  end
  local path = "/api/shows/" .. shows.first + turn % shows.count .. "/book/"
  local of_caller = headers[sent % #headers + 1]
  sent = sent + 1
  if keys ~= "" then
    of_caller["Idempotency-Key"] = keys .. "-" .. number .. "-" .. sent
  end
  return wrk.format("POST", path, of_caller, string.format(template, seats.first + row))
end

local function header(text)
  return text:match("^([^:]+): (.*)$")
end

function init(args)
  for status in args[1]:gmatch("%d+") do
    right[tonumber(status)] = true
  end
  if args[2] == "get" then
    wrk.path = args[3]
    for i = 4, #args do
      local name, value = header(args[i])
      wrk.headers[name] = value
    end
    return
  end
  shows = { first = tonumber(args[3]), count = tonumber(args[4]) }
  seats = { first = tonumber(args[5]), times = tonumber(args[7]) }
  template, keys = args[8], args[9]
  share = tonumber(args[6])
  if seats.times == 1 then -- wrk runs with two threads: half of the seats each
    share = math.floor(share / 2)
    seats.first = seats.first + number * share
  end
  for i = 10, #args do
    local name, value = header(args[i])
    table.insert(headers, { [name] = value, ["Content-Type"] = "application/json" })
  end
  request = book
end

-- wrk itself counts statuses from 400 on only, and does not keep the answer.
function response(status, headers, body)
  if not right[status] then
    failed = failed + 1
    if first_failure == "" then
      first_failure = status .. " " .. body
    end
  end
end

function done(summary, latency, requests)
  local answered_wrong, first = 0, ""
  for _, thread in ipairs(threads) do
    answered_wrong = answered_wrong + thread:get("failed")
    first = first == "" and thread:get("first_failure") or first
  end
  local errors = summary.errors
  local unanswered = errors.connect + errors.read + errors.write + errors.timeout
  local waits = latency:percentile(50) .. "\t" .. latency:percentile(99)
  print("RESULT", summary.requests, summary.duration, answered_wrong, unanswered, waits, first)
end
