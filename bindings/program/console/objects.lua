-- What the console has besides the mintage modules.
return {}
