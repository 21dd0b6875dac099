-- What wrk sends, and what it makes of the answers.
--
--   wrk -H HEADER -s load.lua URL                             GET the URL
--   wrk -s load.lua URL -- SHOW SHOWS SEAT SEATS HEADER...    book at URL: the shows from id SHOW
--       on, the seats from number SEAT on, for the callers that the headers stand for in turn
--
-- Each of wrk's threads runs this file by itself; `setup` and `done` run once, over all of them.

local threads = {}

function setup(thread)
  thread:set("number", #threads)
  table.insert(threads, thread)
end

failed, first_failure = 0, ""
local sent, share = 0, 0
local shows, seats, callers = {}, {}, {}

-- The same seat is never asked for twice: one seat of each show, then the next seat of each.
local function book()
  local row = math.floor(sent / shows.count)
  if row >= share then
    error("out of seats: raise MAX_RATE in benchmarks/data.py")
  end
  local path = "/api/shows/" .. shows.first + sent % shows.count .. "/book/"
  local body = '{"seat_number": "' .. seats.first + row .. '"}'
  sent = sent + 1
  return wrk.format("POST", path, callers[sent % #callers + 1], body)
end

function init(args)
  if #args == 0 then
    return
  end
  shows = { first = tonumber(args[1]), count = tonumber(args[2]) }
  share = math.floor(tonumber(args[4]) / 2) -- wrk runs with two threads: half of the seats each
  seats = { first = tonumber(args[3]) + number * share }
  for i = 5, #args do
    local name, value = args[i]:match("^([^:]+): (.*)$")
    table.insert(callers, { [name] = value, ["Content-Type"] = "application/json" })
  end
  request = book
end

-- wrk itself counts statuses from 400 on only, and does not keep the answer.
function response(status, headers, body)
  if status < 200 or status > 299 then
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
  print("RESULT", summary.requests, summary.duration, answered_wrong, unanswered, first)
end
