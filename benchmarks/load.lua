-- What wrk sends, and what it makes of the answers.
--
--   wrk -s load.lua URL -- STATUSES get PATH HEADER...
--   wrk -s load.lua URL -- STATUSES book ORDER SHOW SHOWS SEAT SEATS TIMES BODY KEYS HEADER...
--       in the shows from id SHOW on, the seats from number SEAT on; ORDER `spread`: each once, one
--       of each show, then the next of each; `crowded`: each TIMES times, all of a show, then those
--       of the next, then the end of the run, for which wrk has one thread; BODY with the seat for its %d; with an Idempotency-Key that begins with KEYS
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
local sent, share, crowded = 0, 0, false
local right, shows, seats, headers, template, keys = {}, {}, {}, {}, "", ""

-- The show and the seat to ask for next, both from 0.
local function place()
  if crowded then
    local all = shows.count * share
    if sent == all * seats.times then
      -- A script has no other way to end the run. The first may reach this thread, which then
      -- ends; the second can only reach the one that waits for the time to be over.
      io.popen("kill -INT $PPID; sleep 0.1; kill -INT $PPID")
    end
    local turn = math.min(math.floor(sent / seats.times), all - 1) -- it asks a little longer
    return math.floor(turn / share), turn % share
  end
  local row = math.floor(sent / shows.count)
  if row >= share then
    error("out of seats: raise MAX_RATE in benchmarks/data.py")
  end
  return sent % shows.count, row
end

local function book()
  local show, row = place()
  local path = "/api/shows/" .. shows.first + show .. "/book/"
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
  crowded = args[3] == "crowded"
  shows = { first = tonumber(args[4]), count = tonumber(args[5]) }
  seats = { first = tonumber(args[6]), times = tonumber(args[8]) }
  template, keys = args[9], args[10]
  share = tonumber(args[7])
  if crowded then
    sent = -1 -- wrk asks the first thread for one request that it does not send
  else -- wrk runs with two threads: half of the seats each
    share = math.floor(share / 2)
    seats.first = seats.first + number * share
  end
  for i = 11, #args do
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
