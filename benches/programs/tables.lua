-- Tables, closures and strings, under Lua's collector.
local scale = tonumber(arg[1])
local total = 0
for turn = 1, math.max(1, scale // 4) do
  local list = {}
  for at = 1, 20000 do
    list[at] = { number = at, name = "entry " .. at .. " of " .. turn, next = list[at - 1] }
  end
  local index = {}
  for at, entry in ipairs(list) do
    index[entry.name] = function() return entry.number * turn end
    if at % 3 == 0 then list[at] = false end
  end
  local pieces = {}
  for name, value in pairs(index) do
    total = total + value() % 7
    pieces[#pieces + 1] = name:sub(1, 8)
  end
  total = total + #table.concat(pieces, ",")
end
print(total)
