"""Words that carry no topic, in the languages that feeds are mostly written in."""

from __future__ import annotations

from stories.names import NO_NAME
from stories.text import word_set

_ENGLISH = word_set("""
    above across actually again against ahead almost alone along already also although always am
    among amid another any anyone anything are around away back be became because become been
    behind being below best better between beyond big bigger both brings came can cannot come comes
    could did does doing done down due during early either else end enough even ever every everyone
    everything ever far few find finds first follow following former found full further gets get
    getting give given gives go goes going gone good got great had has have having help her him
    himself how however including instead into itself keep keeps kept know known large largest last
    late later latest least less likely little live long longer look looks lot made main make makes
    making many may maybe me mean means might mine month months much must near nearly need needs
    never newly next nearby none nothing now off often old older once only onto open other others
    our out over own part past people per perhaps place plan plans put quite rather ready really
    recent recently report reported reportedly reports right said same say saying says second see
    seen sees set sets several shall she should show shows side since small soon still start starts
    such sure take takes taken taking tell tells than thank thanks their them themselves there
    these thing things think third those though thought through thus time times together told too
    took toward towards tried tries try trying turn turned turns twice under unless unlike until up
    upon us use used uses using usual usually very via want wants was way ways week weeks well went
    were whether whom whose whole with within without won work works would year years yet your
    yours day days hour hours minute minutes news video watch photo photos comment comments column
    editorial explainer breaking story stories today's says it's that's don't doesn't isn't won't
    can't i'm you're they're we're there's what's who's let's didn't wasn't aren't couldn't
    wouldn't shouldn't haven't hasn't i've i'd i'll he's she's above-mentioned percent per cent
    million billion thousand hundred dozen dozens eleven twelve twenty thirty forty fifty begin
    begins began begun arrive arrives arrived carry carries sent stay stays runs running finally
    outside kilometres kilometers metres meters kilograms mondays tuesdays wednesdays thursdays
    fridays saturdays sundays keeping bring brought call calls called happen happens happened
""")
_OTHERS = word_set("""
    aber alle allem allen aller alles als also auch auf aus bei beim bin bis das dass dem den denn
    der des die dies diese diesem diesen dieser dieses doch dort durch ein eine einem einen einer
    eines eher etwa etwas euch für gegen gibt habe haben hat hatte hatten hier ich ihm ihn ihnen ihr
    ihre ihrem ihren ihrer immer ist jede jeder jedes jetzt kann kein keine können mehr mein mit
    muss nach nicht nichts noch nun nur oder ohne schon sehr sein seine seinem seinen seiner seit
    sich sie sind soll sollen sondern über und uns unter viel viele vom von vor war waren was wegen
    weil welche wenn werden wie wieder will wir wird worden wurde wurden zum zur zwei zwischen
    ainsi alors après avant avec avoir bien cela ces cet cette ceux chez comme contre dans depuis
    des deux donc dont elle elles encore entre est était être fait faire les leur leurs lors mais
    mes même moins nos notre nous ont parce par pas pendant peut plus pour pourquoi quand que quel
    quelle qui quoi sans ses soit son sont sous sur tous tout toute toutes trois très une vers
    votre vous
    además ahora al algo antes así aún años cada casi como con contra cual cuando del desde después
    donde dos durante ella ellos entre era esa ese eso esta está están este esto estos fue fueron
    han hasta hay los las más menos mismo muy nos nosotros para pero poco por porque puede que
    quien sea según ser será sin sobre son sus también tan tiene todo todos tras tres una uno unos
    ya
    ao aos ainda até com das dela dele depois dos ele eles em essa esse está foi isso mais mas mesmo
    muito na nas não nos num numa onde os ou para pela pelo por quando que quem são sem será seu
    sua também tem uma um você
    alla alle anche ancora che chi come con cosa così dal dalla degli dei del della delle dello
    dopo dove due era gli hanno il loro ma nel nella nelle non ogni per perché più poi prima quale
    quando quella quello questa questo sono stato sua sul sulla suo tra tutti tutto una uno
    aan als bij dat deze door een geen haar heeft het hij hoe hun ik in is kan maar meer met naar
    niet nog nu om onder ons ook op over te tot uit van veel voor waar was wat werd wie wij wordt
    zal zich zijn zo
""")
# Articles that open a sentence, and with it what looks like a name ("Der Hafen", not "Los Angeles").
ARTICLES = word_set("der die das den dem des ein eine einen einem einer les une il gli het een")
EMPTY = NO_NAME | _ENGLISH | _OTHERS
