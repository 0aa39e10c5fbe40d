(** The posterior of finite data given x_t, its mean (the denoiser), and limits along any path to an end of time. *)

From Coq Require Import Reals Lra Lia Psatz.
From Coquelicot Require Import Coquelicot.
From Singdiffusion Require Import Base Mixture Formulas A.
Local Open Scope R_scope.

(** The log weight of a point against the prior, without what is common to all: [a <x,y>/s^2 - a^2 |y|^2 / 2 s^2] *)
Definition logit (d : nat) (a s : R) (x y : vec) : R := a * dot d x y / s ^ 2 - a ^ 2 * sq d y / (2 * s ^ 2).

(** Bayes' rule leaves just these. *)
Theorem bayes_logit d n w y a s x i : s <> 0 ->
  bayes d n w y a s x i = w i * exp (logit d a s x (y i)) / sumn n (fun j => w j * exp (logit d a s x (y j))).
Proof.
  intros Hs. unfold bayes. set (c := exp (- sq d x / (2 * s ^ 2)) / sqrt (2 * PI * s ^ 2) ^ d).
  assert (Hs2 : 0 < s ^ 2) by (apply pow2_gt_0; auto).
  assert (Hc : 0 < c). { apply Rdiv_lt_0_compat; [apply exp_pos|]. apply pow_lt, sqrt_lt_R0. pose proof PI_RGT_0. nra. }
  assert (X : forall j, dens d (vscal a (y j)) (s ^ 2) x = c * exp (logit d a s x (y j))).
  { intros j. unfold dens, c. replace (- sq d (vminus x (vscal a (y j))) / (2 * s ^ 2)) with (- sq d x / (2 * s ^ 2) + logit d a s x (y j)).
    - rewrite exp_plus. unfold Rdiv. ring.
    - rewrite sq_minus, sq_scal, dot_scal_r. unfold logit. field. auto. }
  rewrite X. rewrite (sumn_ext n _ (fun j => c * (w j * exp (logit d a s x (y j))))) by (intros; rewrite X; ring).
  rewrite sumn_scal. set (S := sumn n (fun j => w j * exp (logit d a s x (y j)))). unfold Rdiv. rewrite Rinv_mult.
  replace (w i * (c * exp (logit d a s x (y i))) * (/ c * / S)) with (c * / c * (w i * exp (logit d a s x (y i)) * / S)) by ring.
  rewrite Rinv_r by lra. ring.
Qed.

(** The denoiser: the posterior mean *)
Definition denoiser (d n : nat) w y (a s : R) (x : vec) : vec := vsum n (fun i => vscal (bayes d n w y a s x i) (y i)).
Definition mean_of (n : nat) (w : nat -> R) (y : nat -> vec) : vec := vsum n (fun i => vscal (w i) (y i)).
(** The covariance applied to x *)
Definition cov_times (d n : nat) w (y : nat -> vec) (x : vec) : vec :=
  fun k => sumn n (fun i => w i * dot d x (y i) * (y i k - mean_of n w y k)).

Lemma logit_sum_pos d n w y a s x : weights n w -> 0 < sumn n (fun j => w j * exp (logit d a s x (y j))).
Proof.
  intros [Hw Hs]. destruct (sumn_some_pos n w Hw) as (k & Hk & Hp); [lra|]. apply sumn_pos.
  - intros i Hi. apply Rmult_le_pos; auto. left; apply exp_pos.
  - exists k. split; auto. apply Rmult_lt_0_compat; auto. apply exp_pos.
Qed.

Lemma bayes_weights d n w y a s x : weights n w -> s <> 0 -> weights n (bayes d n w y a s x).
Proof.
  intros Hw Hs. pose proof (logit_sum_pos d n w y a s x Hw) as HS. split.
  - intros i Hi. rewrite bayes_logit by auto. apply Rdiv_le_0_compat; auto. apply Rmult_le_pos; [apply Hw; auto|left; apply exp_pos].
  - rewrite (sumn_ext n _ (fun i => w i * exp (logit d a s x (y i)) * / sumn n (fun j => w j * exp (logit d a s x (y j))))).
    + rewrite sumn_scal_r. field. lra.
    + intros i _. apply bayes_logit; auto.
Qed.

Lemma denoiser_logit d n w y a s x k : s <> 0 -> denoiser d n w y a s x k
  = sumn n (fun i => w i * exp (logit d a s x (y i)) * y i k) / sumn n (fun j => w j * exp (logit d a s x (y j))).
Proof.
  intros Hs. unfold denoiser, vsum, vscal. unfold Rdiv at 1. rewrite <- sumn_scal_r. apply sumn_ext. intros i _.
  rewrite bayes_logit by auto. unfold Rdiv. ring.
Qed.

(** At a = 0 it is the mean, whatever x. *)
Theorem denoiser_end d n w y s x k : s <> 0 -> sumn n w = 1 -> denoiser d n w y 0 s x k = mean_of n w y k.
Proof.
  intros Hs Hw. rewrite denoiser_logit by auto.
  assert (L : forall j, exp (logit d 0 s x (y j)) = 1) by (intros; apply exp_zero; unfold logit; field; auto).
  rewrite (sumn_ext n (fun j => w j * exp _) w) by (intros; rewrite L; ring). rewrite Hw.
  unfold mean_of, vsum, vscal. rewrite (sumn_ext n _ (fun i => w i * y i k)) by (intros; rewrite L; ring). field.
Qed.

(** ** Limits of real functions along a filter *)

Section Limits.
Context {T : Type} (F : (T -> Prop) -> Prop) {FF : Filter F}.

Lemma flim_const (c : R) : filterlim (fun _ : T => c) F (locally c).
Proof. apply filterlim_const. Qed.
Lemma flim_plus (f g : T -> R) (a b : R) : filterlim f F (locally a) -> filterlim g F (locally b) -> filterlim (fun t => f t + g t) F (locally (a + b)).
Proof. intros Hf Hg. apply (filterlim_comp_2 (F := F) (G := locally a) (H := locally b) f g Rplus); auto. apply (filterlim_plus a b). Qed.
Lemma flim_mult (f g : T -> R) (a b : R) : filterlim f F (locally a) -> filterlim g F (locally b) -> filterlim (fun t => f t * g t) F (locally (a * b)).
Proof. intros Hf Hg. apply (filterlim_comp_2 (F := F) (G := locally a) (H := locally b) f g Rmult); auto. apply (filterlim_mult (K := R_AbsRing) a b). Qed.
Lemma flim_comp (f : T -> R) (h : R -> R) (a : R) : filterlim f F (locally a) -> continuous h a -> filterlim (fun t => h (f t)) F (locally (h a)).
Proof. intros Hf Hh. apply (filterlim_comp T R R f h F (locally a)); auto. Qed.
Lemma flim_opp (f : T -> R) (a : R) : filterlim f F (locally a) -> filterlim (fun t => - f t) F (locally (- a)).
Proof. intros. apply (flim_comp f Ropp a); auto. apply (ex_derive_continuous Ropp). auto_derive; auto. Qed.
Lemma flim_minus (f g : T -> R) (a b : R) : filterlim f F (locally a) -> filterlim g F (locally b) -> filterlim (fun t => f t - g t) F (locally (a - b)).
Proof. intros. apply (flim_plus f (fun t => - g t)); auto. apply flim_opp; auto. Qed.
Lemma flim_inv (f : T -> R) (a : R) : filterlim f F (locally a) -> a <> 0 -> filterlim (fun t => / f t) F (locally (/ a)).
Proof. intros. apply (flim_comp f Rinv a); auto. apply (ex_derive_continuous Rinv). auto_derive; auto. Qed.
Lemma flim_div (f g : T -> R) (a b : R) : filterlim f F (locally a) -> filterlim g F (locally b) -> b <> 0 -> filterlim (fun t => f t / g t) F (locally (a / b)).
Proof. intros. apply flim_mult; auto. apply flim_inv; auto. Qed.
Lemma flim_pow (f : T -> R) (a : R) n : filterlim f F (locally a) -> filterlim (fun t => f t ^ n) F (locally (a ^ n)).
Proof. intros. apply (flim_comp f (fun z => z ^ n) a); auto. apply (ex_derive_continuous (fun z => z ^ n)). auto_derive; auto. Qed.
Lemma flim_exp (f : T -> R) (a : R) : filterlim f F (locally a) -> filterlim (fun t => exp (f t)) F (locally (exp a)).
Proof. intros. apply (flim_comp f exp a); auto. apply (ex_derive_continuous exp). auto_derive; auto. Qed.
Lemma flim_sum n (f : nat -> T -> R) (a : nat -> R) : (forall i, (i < n)%nat -> filterlim (f i) F (locally (a i))) ->
  filterlim (fun t => sumn n (fun i => f i t)) F (locally (sumn n a)).
Proof.
  induction n; intros H; simpl; [apply flim_const|]. apply (flim_plus (fun t => sumn n (fun i => f i t)) (f n)); auto.
Qed.
Lemma flim_near (f : T -> R) (a e : R) : filterlim f F (locally a) -> 0 < e -> F (fun t => Rabs (f t - a) < e).
Proof. intros Hf He. apply (Hf (fun z => Rabs (z - a) < e)). exists (mkposreal e He). intros z Hz. exact Hz. Qed.
Lemma flim_eq (f g : T -> R) (a b : R) : F (fun t => f t = g t) -> a = b -> filterlim f F (locally a) -> filterlim g F (locally b).
Proof. intros H <- Hf. apply (filterlim_ext_loc f); auto. Qed.
End Limits.

(** Goals [filterlim (…) F (locally …)] whose limit has the shape of the function *)
Ltac flim := repeat (match goal with
  | H : filterlim ?f ?F ?G |- filterlim ?f ?F ?G => exact H
  | |- filterlim (fun _ => ?c) ?F (locally ?c) => apply (flim_const F)
  | |- filterlim (fun t => @?f t + @?g t) ?F (locally (?a + ?b)) => apply (flim_plus F f g a b)
  | |- filterlim (fun t => @?f t - @?g t) ?F (locally (?a - ?b)) => apply (flim_minus F f g a b)
  | |- filterlim (fun t => @?f t * @?g t) ?F (locally (?a * ?b)) => apply (flim_mult F f g a b)
  | |- filterlim (fun t => @?f t / @?g t) ?F (locally (?a / ?b)) => apply (flim_div F f g a b)
  | |- filterlim (fun t => @?f t ^ ?n) ?F (locally (?a ^ ?n)) => apply (flim_pow F f a n)
  | |- filterlim (fun t => exp (@?f t)) ?F (locally (exp ?a)) => apply (flim_exp F f a)
  | |- filterlim (fun t => sumn ?n (fun i => @?f i t)) ?F (locally (sumn ?n ?a)) => apply (flim_sum F n (fun i t => f i t) a); intros
  end).

(** [(e^z - 1)/z], continued by 1 *)
Definition psi (z : R) : R := if Req_EM_T z 0 then 1 else (exp z - 1) / z.

Lemma psi_exp z : exp z - 1 = psi z * z.
Proof. unfold psi. destruct (Req_EM_T z 0) as [->|H]; [rewrite exp_0; ring|field; auto]. Qed.

Lemma psi_cont : continuous psi 0.
Proof.
  assert (D : is_derive exp 0 1). { auto_derive; auto. rewrite exp_0. ring. }
  apply is_derive_Reals in D. apply continuity_pt_filterlim. intros eps He. destruct (D eps He) as [delta Hd].
  exists delta. split; [apply cond_pos|]. intros z [[_ Hz] Hz2]. unfold dist in *; simpl in *. unfold R_dist in *.
  assert (Hz0 : z <> 0) by auto. specialize (Hd z Hz0). rewrite Rminus_0_r in Hz2. specialize (Hd Hz2).
  unfold psi. destruct (Req_EM_T z 0); [contradiction|]. destruct (Req_EM_T 0 0); [|lra].
  rewrite Rplus_0_l, exp_0 in Hd. exact Hd.
Qed.

Section Path.
Context {T : Type} (F : (T -> Prop) -> Prop) {FF : Filter F}.
Variables (d n : nat) (w : nat -> R) (y : nat -> vec) (x : vec) (al si : T -> R) (s1 : R).
Hypothesis Hw : weights n w.
Hypothesis Hal : filterlim al F (locally 0).
Hypothesis Hsi : filterlim si F (locally s1).
Hypothesis Hs1 : s1 <> 0.
Hypothesis Hsi0 : F (fun t => si t <> 0).

Lemma flim_slope v : filterlim (fun t => dot d x v / si t ^ 2 - al t * sq d v / (2 * si t ^ 2)) F (locally (dot d x v / s1 ^ 2)).
Proof.
  assert (Hp : s1 ^ 2 <> 0) by (apply pow_nonzero; auto).
  replace (dot d x v / s1 ^ 2) with (dot d x v / s1 ^ 2 - 0 * sq d v / (2 * s1 ^ 2)) by (field; auto).
  flim; auto; nra.
Qed.

Lemma flim_logit v : filterlim (fun t => logit d (al t) (si t) x v) F (locally 0).
Proof.
  apply (flim_eq F (fun t => al t * (dot d x v / si t ^ 2 - al t * sq d v / (2 * si t ^ 2))) _ (0 * (dot d x v / s1 ^ 2)) 0).
  - apply (filter_imp (fun t => si t <> 0)); auto. intros t Ht. unfold logit. field. auto.
  - ring.
  - flim. apply flim_slope.
Qed.

Lemma flim_mass : filterlim (fun t => sumn n (fun j => w j * exp (logit d (al t) (si t) x (y j)))) F (locally 1).
Proof.
  rewrite <- (proj2 Hw). apply (flim_sum F n (fun j t => w j * exp (logit d (al t) (si t) x (y j)))). intros i _.
  apply (flim_eq F (fun t => w i * exp (logit d (al t) (si t) x (y i))) _ (w i * exp 0)).
  - apply filter_forall. auto.
  - rewrite exp_0. ring.
  - flim. apply flim_logit.
Qed.

(** The denoiser tends to the mean … *)
Theorem denoiser_limit k : filterlim (fun t => denoiser d n w y (al t) (si t) x k) F (locally (mean_of n w y k)).
Proof.
  apply (flim_eq F (fun t => sumn n (fun i => w i * exp (logit d (al t) (si t) x (y i)) * y i k)
                             / sumn n (fun j => w j * exp (logit d (al t) (si t) x (y j)))) _ (mean_of n w y k / 1)).
  - apply (filter_imp (fun t => si t <> 0)); auto. intros t Ht. symmetry. apply denoiser_logit; auto.
  - field.
  - apply (flim_div F); [|apply flim_mass|lra].
    apply (flim_sum F n (fun i t => w i * exp (logit d (al t) (si t) x (y i)) * y i k)). intros i _. unfold vscal.
    replace (w i * y i k) with (w i * exp 0 * y i k) by (rewrite exp_0; ring). flim. apply flim_logit.
Qed.

(** … and the difference over alpha to the covariance times x over sigma^2. *)
Theorem denoiser_slope k : F (fun t => al t <> 0) ->
  filterlim (fun t => (denoiser d n w y (al t) (si t) x k - mean_of n w y k) / al t) F (locally (cov_times d n w y x k / s1 ^ 2)).
Proof.
  intros Ha0. set (mu := mean_of n w y k).
  apply (flim_eq F (fun t => sumn n (fun i => w i * (y i k - mu) * (psi (logit d (al t) (si t) x (y i)) * (dot d x (y i) / si t ^ 2 - al t * sq d (y i) / (2 * si t ^ 2))))
                             / sumn n (fun j => w j * exp (logit d (al t) (si t) x (y j)))) _
                   (sumn n (fun i => w i * (y i k - mu) * (1 * (dot d x (y i) / s1 ^ 2))) / 1)).
  - apply (filter_imp (fun t => si t <> 0 /\ al t <> 0)); [|apply filter_and; auto]. intros t [Ht Hat].
    rewrite denoiser_logit by auto. pose proof (logit_sum_pos d n w y (al t) (si t) x Hw) as HS.
    set (S := sumn n (fun j => w j * exp (logit d (al t) (si t) x (y j)))) in *.
    apply Rmult_eq_reg_r with (S * al t); [|apply Rmult_integral_contrapositive; split; auto; lra].
    replace ((sumn n (fun i => w i * exp (logit d (al t) (si t) x (y i)) * y i k) / S - mu) / al t * (S * al t))
      with (sumn n (fun i => w i * exp (logit d (al t) (si t) x (y i)) * y i k) - mu * S) by (field; split; auto; lra).
    match goal with |- ?a / S * (S * al t) = _ => replace (a / S * (S * al t)) with (a * al t) by (field; lra) end.
    unfold S. rewrite <- sumn_scal_r, <- sumn_scal, <- sumn_minus.
    (* the centred weights sum to zero *)
    assert (Z : sumn n (fun i => w i * (y i k - mu)) = 0).
    { rewrite (sumn_ext n _ (fun i => w i * y i k - w i * mu)) by (intros; ring). rewrite sumn_minus, sumn_scal_r, (proj2 Hw).
      unfold mu, mean_of, vsum, vscal. ring. }
    rewrite <- (Rplus_0_r (sumn n (fun i => w i * (y i k - mu) * _ * al t))). rewrite <- Z, <- sumn_plus. apply sumn_ext. intros i _.
    replace (w i * (y i k - mu) * (psi (logit d (al t) (si t) x (y i)) * (dot d x (y i) / si t ^ 2 - al t * sq d (y i) / (2 * si t ^ 2))) * al t)
      with (w i * (y i k - mu) * (psi (logit d (al t) (si t) x (y i)) * logit d (al t) (si t) x (y i))) by (unfold logit; field; auto).
    rewrite <- psi_exp. ring.
  - unfold cov_times, Rdiv. fold mu. rewrite Rinv_1, Rmult_1_r, <- sumn_scal_r. apply sumn_ext. intros i _. ring.
  - apply (flim_div F); [|apply flim_mass|lra].
    apply (flim_sum F n (fun i t => w i * (y i k - mu) * (psi (logit d (al t) (si t) x (y i)) * (dot d x (y i) / si t ^ 2 - al t * sq d (y i) / (2 * si t ^ 2))))).
    intros i _. apply (flim_mult F); [apply (flim_const F)|]. apply (flim_mult F); [|apply flim_slope].
    replace 1 with (psi 0) by (unfold psi; destruct (Req_EM_T 0 0); lra). apply (flim_comp F); [apply flim_logit|apply psi_cont].
Qed.
End Path.
