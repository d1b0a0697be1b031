local health = {status = "Progressing", message = "The operator has not seen the run yet."}
local status = obj.status
if status == nil or status.conditions == nil then
  return health
end
if status.observedGeneration ~= obj.metadata.generation then
  health.message = "The operator has not seen the latest spec yet."
  return health
end

local conditions = {}
for _, condition in ipairs(status.conditions) do
  conditions[condition.type] = condition
end
local function holds(kind)
  return conditions[kind] ~= nil and conditions[kind].status == "True"
end

local ready = conditions["Ready"]
if ready ~= nil then
  health.message = ready.reason .. ": " .. (ready.message or "")
end
if holds("Stalled") or holds("Failed") then
  health.status = "Degraded"
elseif holds("Ready") or holds("Complete") then
  health.status = "Healthy"
elseif holds("Suspended") and not holds("Reconciling") then
  health.status = "Suspended"
elseif status.stage ~= nil and status.progress ~= nil then
  health.message = status.stage .. " " .. status.progress.percent .. "%. " .. health.message
end
return health
