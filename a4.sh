. /tmp/a2/env.sh; export CARILLON_ALLOW_NETWORKS=127.0.0.0/8
cd /tmp/a2
CARILLON_PORT=8735 nohup setsid $C run api > api2.out 2>&1 & A=$!
nohup setsid $C run delivery > del2.out 2>&1 & D=$!
for i in $(seq 40); do curl -sf http://127.0.0.1:8735/readyz >/dev/null && break; sleep 0.5; done
curl -s -o /dev/null -w "api2 ready %{http_code}\n" http://127.0.0.1:8735/readyz
$P - <<'PY'
import c as cc
from c import *
a=client(); cc.API="http://127.0.0.1:8735/api/v1"
# session made at one, used at the other
r=requests.get("http://127.0.0.1:8735/api/v1/auth/me",cookies=a.cookies.get_dict()); print("session at the other", r.status_code)
PY
sleep 2
kill -TERM $D; t=$(date +%s%N); while kill -0 $D 2>/dev/null; do sleep 0.1; done; wait $D; echo "delivery drained rc=$? in $(( ($(date +%s%N)-t)/1000000 )) ms"; tail -2 del2.out
kill -TERM $A; t=$(date +%s%N); while kill -0 $A 2>/dev/null; do sleep 0.1; done; wait $A; echo "api drained rc=$? in $(( ($(date +%s%N)-t)/1000000 )) ms"; tail -2 api2.out
# kill -9 the delivery child of up
UP=$(cat up.pid); ps -o pid=,args= --ppid $UP | cut -c1-110
K=$(ps -o pid=,args= --ppid $UP | grep "delivery" | awk '{print $1}'); kill -9 $K; sleep 4; ps -o pid=,args= --ppid $UP | cut -c1-110 | grep delivery
# kill -9 up itself: children go?
kill -9 $UP; sleep 3; pgrep -f "port 8733|carillon.runtime run" | while read p; do grep -z -q audit2-data /proc/$p/environ 2>/dev/null && echo "left $p $(tr '\0' ' ' </proc/$p/cmdline | cut -c1-100)"; done
curl -s -m 3 -o /dev/null -w "old api %{http_code}\n" http://127.0.0.1:8733/readyz
bash start.sh
